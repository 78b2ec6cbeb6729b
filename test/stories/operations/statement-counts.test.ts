// The number of statements that a request needs. Not counted are BEGIN and COMMIT, the statement that
// takes a slice of a rate limit for many requests, the NOTIFY for the events of many requests, and the
// statement that asks every two seconds whether the database was restored.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { webhookDeliveries } from '../../../src/db/tables.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createWebhookEndpoint } from '../../../src/webhooks/endpoints.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openListeningInstance } from '../../support/instance.ts'

let world: World
let person: Browser
let instance: Instance
beforeAll(async () => {
  world = await startWorld()
  person = await world.connected('maraholt')
  instance = await openListeningInstance(world)
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

const ACCOUNTS =
  '{ connectedAccounts { id provider username displayName avatarUrl scopes status accessTokenExpiresAt } }'

const POST = 'mutation P($input: PostTweetInput!) { postTweet(input: $input) { tweet { status } userErrors { code } } }'

/** Returns the statements of a request, without those of rate limits and notifications. */
async function statementsOf(request: () => Promise<{ status: number }>, status = 200): Promise<string[]> {
  const statements = await instance.queriesOf(async () => expect((await request()).status).toBe(status))
  const shared = ['"rate_limits"', 'pg_notify', 'from "generations"']
  return statements.filter((text) => !shared.some((part) => text.includes(part)))
}

test('connectedAccounts by cookie needs one statement, and one more to find out who asks', async () => {
  const ask = () => instance.ask(ACCOUNTS, cookieOf(person))
  expect(await statementsOf(ask)).toEqual([
    expect.stringMatching(/from "sessions" inner join "users"/),
    expect.stringMatching(/from "connected_accounts"/),
  ])
  for (let round = 0; round < 3; round++)
    expect(await statementsOf(ask)).toEqual([expect.stringMatching(/from "connected_accounts"/)])
})

test('connectedAccounts by API token does so too, and stores the use of the token', async () => {
  const input = { name: 'bot', scopes: ['accounts:read'] }
  const { createApiToken } = await person.api('create-api-token', { input })
  const ask = () => instance.ask(ACCOUNTS, bearer(createApiToken.secret ?? ''))
  expect(await statementsOf(ask)).toEqual([
    expect.stringMatching(/from "api_tokens" inner join "users"/),
    expect.stringMatching(/^update "api_tokens" set "last_used_at"/),
    expect.stringMatching(/from "connected_accounts"/),
  ])
  for (let round = 0; round < 3; round++)
    expect(await statementsOf(ask)).toEqual([expect.stringMatching(/from "connected_accounts"/)])
})

test('viewer needs no statement once it is known who asks', async () => {
  const ask = () => instance.ask('{ viewer { id login } }', cookieOf(person))
  await ask()
  for (let round = 0; round < 3; round++) expect(await statementsOf(ask)).toEqual([])
  expect(await statementsOf(() => instance.ask('{ viewer { id login } }'))).toEqual([])
})

test('postTweet needs four statements, and one more to find out who asks', async () => {
  const poster = await world.connected('tomasz_k', 'tomasz-k')
  const post = (text: string) => async () => {
    const response = await instance.ask(POST, cookieOf(poster), { input: { text, idempotencyKey: text } })
    expect(response.data).toEqual({ postTweet: { tweet: { status: 'POSTED' }, userErrors: [] } })
    return response
  }
  const posted = [
    expect.stringMatching(/insert into "idempotency_keys".*insert into "tweets"/),
    expect.stringMatching(/from "x_blocks"/),
    expect.stringMatching(/^update "tweets" set "sent_at"/),
    expect.stringMatching(/update "tweets" set "status".*insert into "events"/s),
  ]
  expect(await statementsOf(post('The first'))).toEqual([
    expect.stringMatching(/from "sessions" inner join "users"/),
    ...posted,
  ])
  expect(await statementsOf(post('The second'))).toEqual(posted)
})

test('postTweet needs two more where the user has a webhook endpoint: a transaction writes outcome and deliveries', async () => {
  const { person: poster, id: accountId, userId } = await connectAccount(world)
  const webhookEgress = createWebhookEgress({ policy: 'LOOPBACK', deadlineSeconds: 5 })
  const deps = { db: world.db(), clock: world.clock, config: world.config, webhookEgress }
  await createWebhookEndpoint(deps, userId, { url: 'http://127.0.0.1:9/', description: null, types: ['tweet.posted'] })
  await webhookEgress.close()
  const post = () => instance.ask(POST, cookieOf(poster), { input: { text: 'With a webhook', accountId } })
  const outcome = expect.stringMatching(/update "tweets" set "status".*insert into "events"/s)
  expect((await statementsOf(post)).slice(-3)).toEqual([
    outcome,
    outcome,
    expect.stringMatching(/insert into "webhook_deliveries"/),
  ])
  expect(await world.db().$count(webhookDeliveries)).toBe(1)
})

// Between the attempt and its end: the token pair, then the call to X, then the transaction.
const UNTIL_LOCKED = [
  expect.stringMatching(/from "connect_attempts".*update "connect_attempts" set "verifier_sealed"/),
  expect.stringMatching(/^update "connect_attempts" set "tokens_sealed"/),
  expect.stringMatching(/from "x_blocks"/),
  expect.stringMatching(/insert into "account_holders"/),
  expect.stringMatching(/from "refused_connections"/),
]
const CLEARED = expect.stringMatching(/^delete from "provider_problems"/)

test('a callback that connects an account needs seven statements, one more where it was connected before, and one more to find out who asks', async () => {
  const newcomer = await world.signedIn('yuki-ito')
  const callBack = async () => {
    const { authorizationUrl } = await newcomer.startXConnect()
    const { pathname, search } = new URL(await newcomer.consent(authorizationUrl ?? '', 'harbourbakery'))
    return statementsOf(() => instance.request(`${pathname}${search}`, { headers: cookieOf(newcomer) }), 303)
  }
  expect(await callBack()).toEqual([
    expect.stringMatching(/from "sessions" inner join "users"/),
    ...UNTIL_LOCKED,
    expect.stringMatching(
      /from "users".* for share.* from "sessions".*insert into "connected_accounts".*insert into "oauth_tokens".*delete from "grant_revocations".*update "connect_attempts".*insert into "events"/s,
    ),
    CLEARED,
  ])
  expect(await callBack()).toEqual([
    ...UNTIL_LOCKED,
    expect.stringMatching(/from "users".* for share.* from "sessions".* from "connected_accounts".* for no key update/),
    expect.stringMatching(/update "connected_accounts".*delete from "orphaned_tokens".*insert into "events"/s),
    CLEARED,
  ])
  const { connectedAccounts } = await newcomer.api('connected-accounts')
  expect(connectedAccounts).toMatchObject([{ username: 'harbourbakery', status: 'ACTIVE' }])
})
