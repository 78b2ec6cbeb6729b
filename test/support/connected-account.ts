// An X account of its own for one story, linked by a person: what they do with it, and what the rows and X say afterwards.
import { eq, type SQL } from 'drizzle-orm'
import { tokenSealContext } from '../../src/accounts/sealed-tokens.ts'
import type {
  ConnectedAccountsQuery,
  DisconnectAccountMutation,
  PostTweetMutation,
} from '../../src/console/operation-types.ts'
import { unseal } from '../../src/crypto.ts'
import { connectedAccounts, oauthTokens, tweets } from '../../src/db/tables.ts'
import type { Fault } from '../../src/sandbox/control/faults.ts'
import type { Browser } from './browser.ts'
import type { World } from './harness.ts'

export type ConnectedAccount = Awaited<ReturnType<typeof connectAccount>>

export type PostedTweet = NonNullable<PostTweetMutation['postTweet']>

export type AccountView = ConnectedAccountsQuery['connectedAccounts'][number]

type Disconnected = NonNullable<DisconnectAccountMutation['disconnectAccount']>

/** How long an access token of X lives. */
export const ACCESS_TOKEN_SECONDS = 7200
/** So long after linking the token is due for its refresh, and still good for 200 seconds. */
export const UNTIL_DUE_SECONDS = 7000
/** So long after linking the token has ended. */
export const UNTIL_ENDED_SECONDS = 7300

let lastNumber = 0

/** Links a fresh X account. @param options.person who links it; a new browser of mara-holt unless given. */
export async function connectAccount(world: World, options: { person?: Browser; scopes?: string[] } = {}) {
  lastNumber += 1
  const username = `account_${lastNumber}`
  const providerAccountId = world.sandbox.control.addAccount(username)
  const person = options.person ?? (await world.signedIn())
  const { outcome, code } = await person.connect(username, options.scopes && { scopes: options.scopes })
  if (outcome !== 'connected') throw new Error(`Could not link @${username}: ${code}`)
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
    /** Posts with this account; a text of its own unless one is given. */
    async post(text?: string, more: Record<string, unknown> = {}): Promise<PostedTweet> {
      posted += 1
      const input = { text: text ?? `Tweet ${posted} of ${username}`, accountId: id, ...more }
      const { postTweet } = await person.api<{ postTweet: PostedTweet }>('post-tweet', { input })
      return postTweet
    },
    /** The secret of an API token with these scopes, made by the person. */
    async makeToken(scopes: string[]): Promise<string> {
      const { createApiToken } = await person.api<{ createApiToken: { secret: string | null } }>('create-api-token', {
        input: { name: 'a program', scopes },
      })
      if (createApiToken.secret === null) throw new Error('No API token was made')
      return createApiToken.secret
    },
    async disconnect(): Promise<Disconnected> {
      const { disconnectAccount } = await person.api<{ disconnectAccount: Disconnected }>('disconnect-account', {
        input: { accountId: id },
      })
      return disconnectAccount
    },
    /** The account as the API shows it. */
    async show(): Promise<AccountView> {
      const { connectedAccounts } = await person.api<{ connectedAccounts: AccountView[] }>('connected-accounts', {
        includeDisconnected: true,
      })
      const found = connectedAccounts.find((account) => account.id === id)
      if (found === undefined) throw new Error(`@${username} is not listed`)
      return found
    },
    /** The row of its tokens; null when there is none. */
    tokens,
    /** The refresh token that the gateway has stored, whatever X makes of it; null when it has none. */
    async storedRefreshToken(): Promise<string | null> {
      const sealed = (await tokens())?.refreshTokenSealed ?? null
      const place = tokenSealContext({ accountId: id, userId }, 'refreshTokenSealed')
      return sealed === null ? null : unseal(world.config.encryptionKeys, place, sealed)
    },
    /** Seeds a state of its tokens. */
    async setTokens(values: Partial<typeof oauthTokens.$inferInsert>): Promise<void> {
      await world.db().update(oauthTokens).set(values).where(eq(oauthTokens.accountId, id))
    },
    /** Its tweets' rows, oldest first. */
    tweets: (): Promise<(typeof tweets.$inferSelect)[]> =>
      world.db().select().from(tweets).where(eq(tweets.accountId, id)).orderBy(tweets.createdAt),
    /** Its newest authorization as X sees it. */
    grant() {
      const grant = world.sandbox.control.grants(username).at(-1)
      if (grant === undefined) throw new Error(`X has no grant of @${username}`)
      return grant
    },
  }
}

/** The world's time, `seconds` from now. */
export function momentIn(world: World, seconds: number): Date {
  return new Date(world.sandbox.control.now() + seconds * 1000)
}

/** What was asked of X, counted from when this is called. */
export function watchX(world: World) {
  const { control } = world.sandbox
  const refreshes = control.countTokenCalls('refresh_token')
  const posts = control.countReceived({ method: 'POST', path: '/2/tweets' })
  return {
    refreshes: () => control.countTokenCalls('refresh_token') - refreshes,
    posts: () => control.countReceived({ method: 'POST', path: '/2/tweets' }) - posts,
  }
}

/** As X stands when a process that was killed had its refresh answered, whether by a new pair or by a refusal. */
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
  if (response.status !== 200 && response.status !== 400) throw new Error(`X answered ${response.status}`)
}

/** The rows of a query, whichever database answers: postgres.js gives a list, PGlite an object with one. */
export async function queryRows(world: World, query: SQL): Promise<Record<string, unknown>[]> {
  const response: unknown = await world.db().execute(query)
  const rows: unknown = Array.isArray(response) ? response : (response as { rows: unknown }).rows
  return rows as Record<string, unknown>[]
}

/** The next refresh meets this fault. */
export function refreshFault(fault: Fault): Fault {
  return { ...fault, match: { path: '/2/oauth2/token', parameters: { grant_type: 'refresh_token' } } }
}

/** The next post meets this fault. */
export function postFault(fault: Fault): Fault {
  return { ...fault, match: { method: 'POST', path: '/2/tweets' } }
}

// A circuit breaker looks at the calls of the last half minute.
const UNTIL_FORGOTTEN_SECONDS = 31

/**
 * Removes all planted faults, and lets so much time pass that the circuit breakers forget the calls that met them: otherwise they open
 * for the next story on a machine that is fast enough.
 * @throws Error when one of them was never met: the story did not go where it says.
 */
export function endFaults(world: World): void {
  const planted = world.sandbox.control.faults()
  const unused = planted.filter((fault) => fault.hits === 0)
  world.sandbox.control.clearFaults()
  if (planted.length > 0) world.advance(UNTIL_FORGOTTEN_SECONDS)
  if (unused.length > 0) throw new Error(`Nothing met the fault ${unused.map(({ kind }) => kind).join(', ')}`)
}
