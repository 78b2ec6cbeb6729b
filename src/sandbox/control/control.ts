import type { XAccount } from '../state.ts'
import type { ReplayMode } from '../switches.ts'
import { findAccount, type World } from '../world.ts'
import { createAccount } from '../x/authorize.ts'
import { revokeGrantsOf } from '../x/grants.ts'
import { findProblem } from '../x/problems.ts'
import type { LimitName } from '../x/rate-limits.ts'
import { editTweet, storeTweet } from '../x/tweet-store.ts'
import type { Vocabulary } from '../x/vocabulary.ts'
import { createActivityControl } from './activity-control.ts'
import { type Fault, type Faults, faultKinds, type PlantedFault } from './faults.ts'
import { createMediaControl } from './media-control.ts'
import type { ReceivedFilter, ReceivedRequest, Recorder } from './recorder.ts'
import { type GrantView, type TweetView, viewGrant, viewTweet } from './views.ts'

/**
 * The control of the sandbox for tests. Arguments and results are plain JSON, so that other
 * processes can use it.
 */
export type SandboxControl = ReturnType<typeof createControl>

export type AccountChange = Partial<
  Pick<XAccount, 'name' | 'protected' | 'suspended' | 'locked' | 'subscriptionType' | 'verifiedType' | 'description'>
>

/** The members of an organization at GitHub, and whether it restricts OAuth apps. */
export type GithubOrganizationSettings = { members?: string[]; pending?: string[]; restrictsApps?: boolean }

/** Creates the control of these providers. `save` stores the state. */
export function createControl(world: World, recorder: Recorder, faults: Faults, save: () => void) {
  const mustFind = (username: string): XAccount => {
    const account = findAccount(world, username)
    if (account === null) throw new Error(`The sandbox has no X account @${username}.`)
    return account
  }
  return {
    ...createMediaControl(world),
    ...createActivityControl(world),
    /** Moves the sandbox's clock forward. */
    advance(seconds: number): void {
      world.clock.advance(seconds)
      save()
    },
    setClockOffset(seconds: number): void {
      world.clock.setOffset(seconds)
      save()
    },
    /** Stops the clock, so that only `advance` moves it, or lets it run again. */
    freezeClock(frozen: boolean): void {
      world.clock.freeze(frozen)
    },
    /** Milliseconds of the sandbox's clock. */
    now: (): number => world.clock.now(),

    /**
     * The received requests, oldest first. `path` of the filter is a regular expression for the
     * whole path.
     */
    received: (filter?: ReceivedFilter): ReceivedRequest[] => structuredClone(recorder.list(filter)),
    countReceived: (filter?: ReceivedFilter): number => recorder.list(filter).length,
    /** The number of requests to X's token endpoint, of one grant type or of all. */
    countTokenCalls: (grantType?: 'authorization_code' | 'refresh_token'): number =>
      recorder
        .list({ method: 'POST', path: '/2/oauth2/token' })
        .filter((request) => grantType === undefined || field(request, 'grant_type') === grantType).length,
    clearReceived(): void {
      recorder.clear()
    },
    /** The highest number of concurrent token requests with one refresh token. */
    concurrentSends: (): number => recorder.concurrentSends(),

    /** Plants a fault and returns its id. */
    inject(fault: Fault): string {
      if (!faultKinds.includes(fault.kind)) {
        throw new Error(`There is no fault ${fault.kind}. Known are ${faultKinds.join(', ')}.`)
      }
      if (fault.kind.startsWith('problem') && findProblem('name' in fault ? fault.name : '') === null) {
        throw new Error(`There is no problem ${'name' in fault ? fault.name : 'without a name'}.`)
      }
      return faults.inject(fault)
    },
    faults: (): PlantedFault[] => faults.list(),
    clearFaults(): void {
      faults.clear()
    },

    /** All grants, or those of one account, oldest first. */
    grants(username?: string): GrantView[] {
      const wanted = username === undefined ? null : mustFind(username).id
      return world.state.grants
        .filter((grant) => wanted === null || grant.accountId === wanted)
        .map((grant) => viewGrant(world, grant))
    },
    /** The number of replays of spent refresh tokens. */
    replays: (): number => world.state.grants.reduce((sum, grant) => sum + grant.replays, 0),
    /** The tweets that are not deleted, of all accounts or of one, oldest first. */
    tweets(username?: string): TweetView[] {
      const wanted = username === undefined ? null : mustFind(username).id
      return world.state.tweets
        .filter((tweet) => !tweet.deleted && (wanted === null || tweet.accountId === wanted))
        .map((tweet) => viewTweet(world, tweet))
    },
    accounts: (): XAccount[] => structuredClone(world.state.accounts),

    /** Ends the account's grants, as on X's connected-apps page. */
    revokeGrant(username: string): void {
      revokeGrantsOf(world, mustFind(username).id)
      save()
    },
    /** Expires the account's access tokens. Its refresh token keeps working. */
    expireAccessToken(username: string): void {
      const { id } = mustFind(username)
      for (const grant of world.state.grants) {
        if (grant.accountId === id) for (const token of grant.accessTokens) token.expiresAt = world.clock.now()
      }
      save()
    },
    renameAccount(username: string, newUsername: string): void {
      mustFind(username).username = newUsername
      save()
    },
    setAccount(username: string, change: AccountChange): void {
      Object.assign(mustFind(username), change)
      save()
    },
    /** Returns the new account's id. */
    addAccount(username: string, name?: string): string {
      if (findAccount(world, username) !== null) throw new Error(`@${username} exists.`)
      const { id } = createAccount(world, username, name ?? username)
      save()
      return id
    },
    /** Posts a tweet in X's own app, without the rules of the API. Returns its id. */
    postAs(username: string, text: string, inReplyToTweetId?: string): string {
      const { id } = storeTweet(world, mustFind(username), {
        text,
        inReplyToTweetId: inReplyToTweetId ?? null,
        mediaIds: [],
        replySettings: 'everyone',
        madeWithAi: false,
        poll: null,
      })
      save()
      return id
    },
    /** Edits a tweet in X's own app. Returns the id of the new version. */
    editTweet(id: string, text: string): string {
      const tweet = world.tweets.byId.get(id)
      if (tweet === undefined || tweet.deleted) throw new Error(`The sandbox has no tweet ${id}.`)
      const edited = editTweet(world, tweet, text)
      save()
      return edited.id
    },
    /** Sets X's word for a tweet in field names and refusals. The default is "tweet". */
    setVocabulary(vocabulary: Vocabulary): void {
      world.switches.vocabulary = vocabulary
    },
    /** Sets whether a long post comes with its whole text when requested, or only truncated. */
    setShowsNotes(on: boolean): void {
      world.switches.showsNotes = on
    },
    /** Sets whether a reply names the tweet that it replies to when requested. */
    setShowsReferences(on: boolean): void {
      world.switches.showsReferences = on
    },
    /**
     * Sets GitHub's URL behind a proxy, from which its issuer follows; null for the sandbox's own.
     */
    setGithubUrl(url: string | null): void {
      world.switches.githubUrl = url
    },
    /** Limits the account's next consents to these scopes; null removes the limit. */
    grantScopes(username: string, scopes: string[] | null): void {
      const { id } = mustFind(username)
      if (scopes === null) world.switches.scopeLimits.delete(id)
      else world.switches.scopeLimits.set(id, scopes)
    },
    setReplay(mode: ReplayMode): void {
      world.switches.replay = mode
    },
    /** Sets whether a refresh ends the access token before it. Off by default. */
    setRefreshEndsAccessToken(on: boolean): void {
      world.switches.refreshEndsAccessToken = on
    },
    /** Sets whether an authorization leaves the account's earlier grant live. Off by default. */
    setKeepsEarlierGrants(on: boolean): void {
      world.switches.keepsEarlierGrants = on
    },
    /**
     * Sets whether revoking a token of an ended grant ends the account's live grant. Off by
     * default.
     */
    setRevocationEndsAccount(on: boolean): void {
      world.switches.revocationEndsAccount = on
    },
    /** Sets the lifetime of newly issued access tokens: a short one makes refreshes frequent. */
    setAccessTokenSeconds(seconds: number): void {
      world.switches.accessTokenSeconds = seconds
    },
    /**
     * Sets whether X refuses duplicates. Without that rule a test can see a tweet that was sent
     * twice.
     */
    setRefusesDuplicates(on: boolean): void {
      world.switches.refusesDuplicates = on
    },
    setRateLimit(name: LimitName, limit: number): void {
      world.rateLimits.setLimit(name, limit)
    },
    /** Changes the app's client secret at X; null makes the client public. */
    rotateClientSecret(secret: string | null): void {
      world.xClient.secret = secret
    },
    /** Adds a callback URL in both developer portals. */
    registerRedirectUri(redirectUri: string): void {
      world.xClient.redirectUris.push(redirectUri)
      world.githubClient.redirectUris.push(redirectUri)
    },
    /** Changes the app's client secret at GitHub. */
    rotateGithubClientSecret(secret: string): void {
      world.githubClient.secret = secret
    },
    /** Adds a GitHub user and returns the numeric id. */
    addGithubPerson(login: string): number {
      const { people } = world.state.github
      if (people.some((known) => known.login === login)) throw new Error(`The GitHub login ${login} is taken.`)
      const id = Math.max(...people.map((known) => known.id)) + 1
      people.push({ id, login, name: null, email: null, bio: null })
      save()
      return id
    },
    /**
     * Creates or replaces an organization at GitHub. Members are named by their logins; a pending one
     * has not accepted the invitation.
     */
    setGithubOrganization(
      login: string,
      { members = [], pending = [], restrictsApps = false }: GithubOrganizationSettings,
    ): void {
      const { people, organizations } = world.state.github
      const idOf = (name: string) => {
        const person = people.find((known) => known.login === name)
        if (person === undefined) throw new Error(`The sandbox has no GitHub person ${name}.`)
        return String(person.id)
      }
      const states: Record<string, 'active' | 'pending'> = {}
      for (const name of pending) states[idOf(name)] = 'pending'
      for (const name of members) states[idOf(name)] = 'active'
      const others = organizations.filter((known) => known.login !== login)
      world.state.github.organizations = [...others, { login, members: states, restrictsApps }]
      save()
    },
    /**
     * Sets whether GitHub has suspended the app: its redirects then carry an error instead of a
     * code.
     */
    setGithubAppSuspended(on: boolean): void {
      world.switches.githubAppSuspended = on
    },
    /**
     * Sets whether a person's primary email address is verified, and whether their account is
     * suspended.
     */
    setGithubPerson(login: string, change: { emailVerified?: boolean; suspended?: boolean }): void {
      const person = world.state.github.people.find((known) => known.login === login)
      if (person === undefined) throw new Error(`The sandbox has no GitHub person ${login}.`)
      const { unverifiedEmails, suspended } = world.switches.githubStanding
      const put = (set: Set<number>, isIn: boolean) => (isIn ? set.add(person.id) : set.delete(person.id))
      if (change.emailVerified !== undefined) put(unverifiedEmails, !change.emailVerified)
      if (change.suspended !== undefined) put(suspended, change.suspended)
    },
    renameGithubPerson(login: string, newLogin: string): void {
      const person = world.state.github.people.find((known) => known.login === login)
      if (person === undefined) throw new Error(`The sandbox has no GitHub person ${login}.`)
      person.login = newLogin
      save()
    },
  }
}

function field(request: ReceivedRequest, name: string): unknown {
  const fields = { ...request.query, ...(typeof request.body === 'object' ? request.body : {}) }
  return Object.entries(fields).find(([key]) => key === name)?.[1]
}
