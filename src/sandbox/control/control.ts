import type { XAccount } from '../state.ts'
import type { ReplayMode } from '../switches.ts'
import { findAccount, type World } from '../world.ts'
import { createAccount } from '../x/authorize.ts'
import { revokeGrantsOf } from '../x/grants.ts'
import { findProblem } from '../x/problems.ts'
import type { LimitName } from '../x/rate-limits.ts'
import { editTweet, storeTweet } from '../x/tweet-store.ts'
import type { Vocabulary } from '../x/vocabulary.ts'
import type { Fault, Faults, PlantedFault } from './faults.ts'
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

export function createControl(world: World, recorder: Recorder, faults: Faults, save: () => void) {
  const mustFind = (username: string): XAccount => {
    const account = findAccount(world, username)
    if (account === null) throw new Error(`The sandbox has no X account @${username}.`)
    return account
  }
  return {
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

    /** Oldest first. `path` of the filter is a regular expression for the whole path. */
    received: (filter?: ReceivedFilter): ReceivedRequest[] => structuredClone(recorder.list(filter)),
    countReceived: (filter?: ReceivedFilter): number => recorder.list(filter).length,
    /** POSTs to X's token endpoint, of one grant type or of all. */
    countTokenCalls: (grantType?: 'authorization_code' | 'refresh_token'): number =>
      recorder
        .list({ method: 'POST', path: '/2/oauth2/token' })
        .filter((request) => grantType === undefined || field(request, 'grant_type') === grantType).length,
    clearReceived(): void {
      recorder.clear()
    },
    /** The most token calls that were ever in flight at once with one refresh token. */
    concurrentSends: (): number => recorder.concurrentSends(),

    /** Plants a fault and returns its id. */
    inject(fault: Fault): string {
      if ('name' in fault && findProblem(fault.name) === null) throw new Error(`There is no problem ${fault.name}.`)
      return faults.inject(fault)
    },
    faults: (): PlantedFault[] => faults.list(),
    clearFaults(): void {
      faults.clear()
    },

    /** Every authorization, oldest first; of one account when named. */
    grants(username?: string): GrantView[] {
      const wanted = username === undefined ? null : mustFind(username).id
      return world.state.grants
        .filter((grant) => wanted === null || grant.accountId === wanted)
        .map((grant) => viewGrant(world, grant))
    },
    /** Spent refresh tokens that were presented again. */
    replays: (): number => world.state.grants.reduce((sum, grant) => sum + grant.replays, 0),
    /** Not deleted, oldest first; of one account when named. */
    tweets(username?: string): TweetView[] {
      const wanted = username === undefined ? null : mustFind(username).id
      return world.state.tweets
        .filter((tweet) => !tweet.deleted && (wanted === null || tweet.accountId === wanted))
        .map((tweet) => viewTweet(world, tweet))
    },
    accounts: (): XAccount[] => structuredClone(world.state.accounts),

    /** As the person does on X's connected-apps page. */
    revokeGrant(username: string): void {
      revokeGrantsOf(world, mustFind(username).id)
      save()
    },
    /** The account's access tokens stop working; its refresh token still does. */
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
    /**
     * Posts as the person would in X's own app, with none of the API's rules; returns the tweet's
     * id.
     */
    postAs(username: string, text: string, inReplyToTweetId?: string): string {
      const { id } = storeTweet(world, mustFind(username), {
        text,
        inReplyToTweetId: inReplyToTweetId ?? null,
        replySettings: 'everyone',
        madeWithAi: false,
        poll: null,
      })
      save()
      return id
    },
    /** As its author does in X's own app; returns the new version's id. */
    editTweet(id: string, text: string): string {
      const tweet = world.tweets.byId.get(id)
      if (tweet === undefined || tweet.deleted) throw new Error(`The sandbox has no tweet ${id}.`)
      const edited = editTweet(world, tweet, text)
      save()
      return edited.id
    },
    /** What X calls a tweet in field names and refusals: "tweet" at first, "post" since 2026. */
    setVocabulary(vocabulary: Vocabulary): void {
      world.switches.vocabulary = vocabulary
    },
    /**
     * Whether a long post comes with its whole text where that is asked for; otherwise there is
     * only the cut one.
     */
    setShowsNotes(on: boolean): void {
      world.switches.showsNotes = on
    },
    /** Whether a reply says which tweet it replies to where that is asked for. */
    setShowsReferences(on: boolean): void {
      world.switches.showsReferences = on
    },
    /**
     * The address at which GitHub is reached where a proxy stands in front: the issuer that it
     * names. Null: the sandbox's own.
     */
    setGithubUrl(url: string | null): void {
      world.switches.githubUrl = url
    },
    /** Cuts the account's next consents down to these scopes; null lifts it. */
    grantScopes(username: string, scopes: string[] | null): void {
      const { id } = mustFind(username)
      if (scopes === null) world.switches.scopeLimits.delete(id)
      else world.switches.scopeLimits.set(id, scopes)
    },
    setReplay(mode: ReplayMode): void {
      world.switches.replay = mode
    },
    /** Whether a rotation also kills the access token before it; off at first. */
    setRotationKillsAccessToken(on: boolean): void {
      world.switches.rotationKillsAccessToken = on
    },
    /** Whether an authorization leaves the account's earlier grant alive; off at first. */
    setKeepsEarlierGrants(on: boolean): void {
      world.switches.keepsEarlierGrants = on
    },
    /**
     * Whether revoking a token of an ended grant ends the live grant of the same account and app;
     * off at first.
     */
    setRevocationEndsAccount(on: boolean): void {
      world.switches.revocationEndsAccount = on
    },
    /**
     * How long the access tokens live that are issued from now on: short, it makes rotations as
     * dense as a test likes.
     */
    setAccessTokenSeconds(seconds: number): void {
      world.switches.accessTokenSeconds = seconds
    },
    /**
     * Whether a text is refused a second time; without that rule a tweet that is sent twice is
     * there twice, for a test to see.
     */
    setRefusesDuplicates(on: boolean): void {
      world.switches.refusesDuplicates = on
    },
    setRateLimit(name: LimitName, limit: number): void {
      world.rateLimits.setLimit(name, limit)
    },
    /** The app's developer changes the secret at X; null makes the client public. */
    rotateClientSecret(secret: string | null): void {
      world.xClient.secret = secret
    },
    /** Adds a callback URL in both developer portals. */
    registerRedirectUri(redirectUri: string): void {
      world.xClient.redirectUris.push(redirectUri)
      world.githubClient.redirectUris.push(redirectUri)
    },
    /** The app's developer changes the secret at GitHub. */
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
     * Whether GitHub has suspended the app: then it sends browsers back with that in place of a
     * code.
     */
    setGithubAppSuspended(on: boolean): void {
      world.switches.githubAppSuspended = on
    },
    /**
     * Whether the person's primary email address is verified, and whether GitHub has suspended
     * their account.
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
