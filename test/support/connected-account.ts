// A new X account for one story, connected by a user: operations on it, its rows, and its state at
// X.
import { eq, ne, type SQL } from 'drizzle-orm'
import { tokenSealContext } from '../../src/accounts/sealed-tokens.ts'
import type {
  ConnectedAccountsQuery,
  DisconnectAccountMutation,
  PostTweetMutation,
} from '../../src/console/operation-types.ts'
import { unseal } from '../../src/crypto.ts'
import { connectedAccounts, OPERATOR_ID, oauthTokens, tweets, users } from '../../src/db/tables.ts'
import type { Fault } from '../../src/sandbox/control/faults.ts'
import { type Browser, isSignedIn } from './browser.ts'
import type { World } from './harness.ts'

export type ConnectedAccount = Awaited<ReturnType<typeof connectAccount>>

export type PostedTweet = NonNullable<PostTweetMutation['postTweet']>

export type AccountView = ConnectedAccountsQuery['connectedAccounts'][number]

type Disconnected = NonNullable<DisconnectAccountMutation['disconnectAccount']>

/** How long an access token of X is valid. */
export const ACCESS_TOKEN_SECONDS = 7200
/**
 * After this time since connecting, a refresh is due and the access token is valid for another 200
 * seconds.
 */
export const UNTIL_DUE_SECONDS = 7000
/** After this time since connecting, the access token has expired. */
export const UNTIL_ENDED_SECONDS = 7300

let lastNumber = 0

// Signing in costs as much as connecting an account.
const people = new WeakMap<World, Browser>()

async function signedInPerson(world: World): Promise<Browser> {
  const earlier = people.get(world)
  if (earlier !== undefined && (await isSignedIn(earlier))) return earlier
  const person = await world.signedIn()
  people.set(world, person)
  return person
}

/**
 * Connects a new X account.
 * @param options.person whose account it is; by default mara-holt in one browser, as long as its
 *   session lasts.
 */
export async function connectAccount(world: World, options: { person?: Browser; scopes?: string[] } = {}) {
  lastNumber += 1
  const username = `account_${lastNumber}`
  const providerAccountId = world.sandbox.control.addAccount(username)
  const person = options.person ?? (await signedInPerson(world))
  const { outcome, code } = await person.connect(username, options.scopes && { scopes: options.scopes })
  if (outcome !== 'connected') throw new Error(`Could not connect @${username}: ${code}`)
  const [row] = await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.username, username))
  if (row === undefined) throw new Error(`There is no row of @${username}`)
  const { id, userId } = row
  let posted = 0
  const tokens = async () => {
    const [row] = await world.db().select().from(oauthTokens).where(eq(oauthTokens.accountId, id))
    return row ?? null
  }

  return {
    person,
    username,
    providerAccountId,
    id,
    userId,
    /** Posts with this account. @param text a unique one by default. */
    async post(text?: string, more: Record<string, unknown> = {}): Promise<PostedTweet> {
      posted += 1
      const input = { text: text ?? `Tweet ${posted} of ${username}`, accountId: id, ...more }
      const { postTweet } = await person.api('post-tweet', { input })
      return postTweet
    },
    /** Creates an API token with these scopes, and returns its secret. */
    async makeToken(scopes: string[]): Promise<string> {
      const { createApiToken } = await person.api('create-api-token', {
        input: { name: 'a program', scopes },
      })
      if (createApiToken.secret === null) throw new Error('No API token was created')
      return createApiToken.secret
    },
    async disconnect(): Promise<Disconnected> {
      const { disconnectAccount } = await person.api('disconnect-account', {
        input: { accountId: id },
      })
      return disconnectAccount
    },
    /** Returns the account as the API shows it. */
    async show(): Promise<AccountView> {
      const { connectedAccounts } = await person.api('connected-accounts', {
        includeDisconnected: true,
      })
      const found = connectedAccounts.find((account) => account.id === id)
      if (found === undefined) throw new Error(`@${username} is not listed`)
      return found
    },
    /** Returns the row of its tokens; null when there is none. */
    tokens,
    /** Returns the stored refresh token, valid at X or not; null when there is none. */
    async storedRefreshToken(): Promise<string | null> {
      const sealed = (await tokens())?.refreshTokenSealed ?? null
      const place = tokenSealContext({ accountId: id, userId }, 'refreshTokenSealed')
      return sealed === null ? null : unseal(world.config.encryptionKeys, place, sealed)
    },
    /** Updates the row of its tokens, to seed a state. */
    async setTokens(values: Partial<typeof oauthTokens.$inferInsert>): Promise<void> {
      await world.db().update(oauthTokens).set(values).where(eq(oauthTokens.accountId, id))
    },
    /** Returns the rows of its tweets, oldest first. */
    tweets: (): Promise<(typeof tweets.$inferSelect)[]> =>
      world.db().select().from(tweets).where(eq(tweets.accountId, id)).orderBy(tweets.createdAt),
    /** Returns its newest authorization at X. */
    grant() {
      const grant = world.sandbox.control.grants(username).at(-1)
      if (grant === undefined) throw new Error(`X has no grant of @${username}`)
      return grant
    },
  }
}

/** Returns the time `seconds` from now on the world's clock. */
export function momentIn(world: World, seconds: number): Date {
  return new Date(world.sandbox.control.now() + seconds * 1000)
}

/** Counts refreshes and posts that X receives from now on. */
export function watchX(world: World) {
  const { control } = world.sandbox
  const refreshes = control.countTokenCalls('refresh_token')
  const posts = control.countReceived({ method: 'POST', path: '/2/tweets' })
  return {
    refreshes: () => control.countTokenCalls('refresh_token') - refreshes,
    posts: () => control.countReceived({ method: 'POST', path: '/2/tweets' }) - posts,
  }
}

/**
 * Uses the stored refresh token at X without storing the result, as a process does that is killed
 * after its refresh.
 */
export async function spendAtX(world: World, account: ConnectedAccount): Promise<void> {
  const { clientId, clientSecret } = world.config.x
  const response = await account.person.request(`${world.sandbox.url}/2/oauth2/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: (await account.storedRefreshToken()) ?? '',
    }).toString(),
  })
  if (response.status !== 200 && response.status !== 400) throw new Error(`X responded with ${response.status}`)
}

/**
 * Returns the rows of a query on either database: postgres.js returns a list, PGlite an object with
 * one.
 */
export async function queryRows(world: Pick<World, 'db'>, query: SQL): Promise<Record<string, unknown>[]> {
  const response: unknown = await world.db().execute(query)
  const rows: unknown = Array.isArray(response) ? response : (response as { rows: unknown }).rows
  return rows as Record<string, unknown>[]
}

/** The condition that a row of `users` is a person, not the operator. */
export const isPerson = ne(users.id, OPERATOR_ID)

/** Limits a fault to refreshes. */
export function refreshFault(fault: Fault): Fault {
  return { ...fault, match: { path: '/2/oauth2/token', parameters: { grant_type: 'refresh_token' } } }
}

/** Limits a fault to posts. */
export function postFault(fault: Fault): Fault {
  return { ...fault, match: { method: 'POST', path: '/2/tweets' } }
}

// Circuit breakers count the calls of the last 30 seconds.
const UNTIL_FORGOTTEN_SECONDS = 31

/**
 * Removes all planted faults, and moves the clock until the circuit breakers no longer count the
 * failed calls: otherwise the breakers might open in the next story.
 * @throws Error if a fault was never met, so that the story did not test it.
 */
export function endFaults(world: World): void {
  const planted = world.sandbox.control.faults()
  const unused = planted.filter((fault) => fault.hits === 0)
  world.sandbox.control.clearFaults()
  if (planted.length > 0) world.advance(UNTIL_FORGOTTEN_SECONDS)
  if (unused.length > 0) throw new Error(`Nothing met the fault ${unused.map(({ kind }) => kind).join(', ')}`)
}
