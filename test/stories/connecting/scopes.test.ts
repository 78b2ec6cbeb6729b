// API tokens' permissions through HTTP: every field of the schema against every kind of caller, and
// the refusals.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiScope, createApiToken } from '../../../src/auth/api-token.ts'
import { apiTokens, OPERATOR_ID, tweets, users } from '../../../src/db/tables.ts'
import { schema } from '../../../src/graphql/schema.ts'
import { errorExtensions } from '../../../src/http/error-response.ts'
import { type Asker, askers, everybody, fields, PART, whoMay } from '../../support/access-table.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { isPerson } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { type ApiResponse, bearer, type Instance, openInstance } from '../../support/instance.ts'
import { findPath, type Step, writeDocument } from '../../support/minimal-document.ts'
import { readOperation } from '../../support/operations.ts'

let world: World
let instance: Instance
let mara: Browser
let maraId: string
const headers = new Map<Asker, Record<string, string>>()
beforeAll(async () => {
  world = await startWorld()
  instance = openInstance(world)
  mara = await world.connected('maraholt')
  const [row] = await world.db().select().from(users).where(isPerson)
  maraId = row?.id ?? ''
  for (const asker of everybody) headers.set(asker, await headersOf(asker))
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

async function headersOf(asker: Asker): Promise<Record<string, string>> {
  const scopes = askers[asker]
  if (scopes === null) return {}
  if (scopes === 'session') return cookieOf(mara)
  return bearer(await makeSecret(scopes, asker.startsWith('operator') ? null : maraId))
}

async function makeSecret(scopes: readonly ApiScope[], userId: string | null = maraId): Promise<string> {
  const deps = { db: world.db(), clock: world.clock }
  return (await createApiToken(deps, { userId: userId ?? OPERATOR_ID }, { name: 'a bot', scopes, expiresInDays: null }))
    .secret
}

const codesOf = ({ errors }: ApiResponse) => errors.map(({ extensions }) => extensions.code)
const isRefused = (response: ApiResponse) =>
  codesOf(response).some((code) => code === 'UNAUTHENTICATED' || code === 'FORBIDDEN')
const ruleOf = ({ type, name }: Step) => fields.find((field) => field.type === type && field.name === name)?.rule ?? ''

describe('K-03 every field against every kind of caller, through HTTP', () => {
  // Skipped fields are checked for access, but not executed.
  const asked = fields.map(({ type, name }) => {
    const path = findPath(schema, { type, name })
    // Signed out, `viewer` is null, so that nothing below it is checked.
    const belowViewer = path.findIndex((step) => step.type === 'User')
    const isAllowed = (asker: Asker) =>
      (asker === 'nobody' && belowViewer >= 0 ? path.slice(0, belowViewer) : path).every((step) =>
        whoMay(ruleOf(step)).includes(asker),
      )
    return {
      field: path.map((step) => `${step.type}.${step.name}`).join(' → '),
      document: writeDocument(schema, path, '@skip(if: true)'),
      allowed: everybody.filter(isAllowed),
    }
  })

  test('follows the table of access rules', { timeout: 600_000 }, async () => {
    expect(asked.length * everybody.length).toBeGreaterThan(1_500)
    for (const { field, document, allowed } of asked) {
      for (const asker of everybody) {
        const response = await instance.ask(document, headers.get(asker))
        const seen = `${asker}: ${field}: ${response.text}`
        expect(isRefused(response), seen).toBe(!allowed.includes(asker))
        if (!isRefused(response)) continue
        const isNobody = asker === 'nobody'
        expect([response.status, codesOf(response)], seen).toEqual(
          isNobody ? [401, ['UNAUTHENTICATED']] : [403, ['FORBIDDEN']],
        )
        expect(response.data, seen).toBeNull()
        const expected = isNobody || asker === 'session' ? /^Bearer realm="xconnect"$/ : /error="insufficient_scope"/
        expect(response.challenge, seen).toMatch(expected)
      }
    }
  })

  test('has a path to each field with an access rule, which ends at that rule', () => {
    const guarded = fields.filter(({ rule }) => rule !== PART)
    expect(guarded.length).toBeGreaterThan(15)
    expect(asked.filter(({ allowed }) => allowed.length < everybody.length).length).toBeGreaterThan(guarded.length)
  })
})

describe('K-09 a refusal', () => {
  test('names the missing scope, in the message, in the extensions and in the header', async () => {
    const headers = bearer(await makeSecret(['tweets:read', 'events:read']))
    expect(await instance.ask('mutation { postTweet(input: {text: "x"}) { tweet { id } } }', headers)).toMatchObject({
      status: 403,
      challenge: 'Bearer realm="xconnect", error="insufficient_scope", scope="tweets:write"',
      data: null,
      errors: [
        {
          message: expect.stringContaining('Mutation.postTweet requires tweets:write.'),
          extensions: errorExtensions('FORBIDDEN', { missingScopes: ['tweets:write'] }),
        },
      ],
    })
  })

  test('names all missing scopes at once', async () => {
    const headers = bearer(await makeSecret(['events:read']))
    const document =
      '{ tweets { edges { node { id account { id } } } } tweet(tweetId: "x") { id } connectedAccounts { id } }'
    const response = await instance.ask(document, headers)
    expect(response.errors).toHaveLength(1)
    expect(response.errors[0]?.extensions.missingScopes).toEqual(['tweets:read', 'accounts:read'])
    expect(response.challenge).toContain('scope="tweets:read accounts:read"')
  })

  test('names none if no scope would help, and says what would', async () => {
    const every = bearer(await makeSecret(askers['every scope']))
    const operator = bearer(await makeSecret(['accounts:read'], null))
    for (const [headers, document, advice] of [
      [every, '{ apiTokens { id } }', 'in a browser that is signed in'],
      [every, '{ linkedUsers { edges { cursor } } }', 'npx xconnect token create'],
      [operator, '{ connectedAccounts { id } }', 'query linkedUser or linkedUsers'],
      [operator, 'mutation { postTweet(input: {text: "x"}) { tweet { id } } }', "or use a user's token"],
    ] as const) {
      const response = await instance.ask(document, headers)
      expect(response).toMatchObject({ status: 403, challenge: 'Bearer realm="xconnect", error="insufficient_scope"' })
      expect(response.errors[0]?.extensions).toEqual({ code: 'FORBIDDEN', retry: 'AFTER_ACTION' })
      expect(response.errors[0]?.message).toContain(advice)
    }
  })

  test('is the same in both media types of GraphQL, and reaches a client library', async () => {
    const secret = await makeSecret(['events:read'])
    for (const accept of ['application/json', 'application/graphql-response+json', '*/*']) {
      const response = await instance.ask('{ tweets { edges { cursor } } }', { accept, ...bearer(secret) })
      expect([response.status, codesOf(response)]).toEqual([403, ['FORBIDDEN']])
    }
  })

  test('happens before any field is executed: of two mutations, and of a post whose result may not be read', async () => {
    const headers = bearer(await makeSecret(['tweets:write']))
    const before = [await world.db().$count(tweets), await world.db().$count(apiTokens)]
    const post = 'postTweet(input: {text: "Not to be posted"})'
    for (const document of [
      `mutation { ${post} { tweet { account { username } } } }`,
      `mutation { ${post} { tweet { id } } createApiToken(input: {name: "x", scopes: ["tweets:read"]}) { secret } }`,
      `mutation { ${post} { tweet { id ...more } } } fragment more on Tweet { account { id } }`,
      `mutation { ${post} { tweet { id ... on Tweet @include(if: false) { account { id } } } } }`,
    ])
      expect((await instance.ask(document, headers)).status, document).toBe(403)
    expect([await world.db().$count(tweets), await world.db().$count(apiTokens)]).toEqual(before)
    expect(world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })).toBe(0)
  })

  test('does not hide the errors of an invalid document', async () => {
    const headers = bearer(await makeSecret(['events:read']))
    expect(codesOf(await instance.ask('{ tweets { edges { nothing } } }', headers))).toEqual(['BAD_USER_INPUT'])
  })
})

describe('a token with a scope', () => {
  test('posts with tweets:write alone, and reads with tweets:read alone, except fields of another scope', async () => {
    const input = { text: 'From a bot', idempotencyKey: 'bot-1' }
    const writer = bearer(await makeSecret(['tweets:write']))
    const posted = await world.browser().request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...writer },
      body: JSON.stringify({ query: readOperation('post-tweet'), variables: { input } }),
    })
    expect(await posted.json()).toMatchObject({ data: { postTweet: { tweet: { status: 'POSTED' }, userErrors: [] } } })
    const reader = bearer(await makeSecret(['tweets:read']))
    expect((await instance.ask('{ tweets { edges { node { text url } } } }', reader)).data).toEqual({
      tweets: { edges: [{ node: { text: 'From a bot', url: expect.stringContaining('/maraholt/status/') } }] },
    })
    expect((await instance.ask(readOperation('tweets'), reader)).errors[0]?.extensions.missingScopes).toEqual([
      'accounts:read',
    ])
  })

  test('reads and changes its own user’s data alone', async () => {
    const tomasz = await world.connected('tomasz_k', 'tomasz-k')
    const { connectedAccounts } = await tomasz.api<{ connectedAccounts: { id: string }[] }>('connected-accounts')
    const id = connectedAccounts[0]?.id ?? ''
    const headers = bearer(await makeSecret(askers['every scope']))
    expect((await instance.ask(`{ connectedAccount(accountId: "${id}") { id } }`, headers)).data).toEqual({
      connectedAccount: null,
    })
    const disconnect = `mutation { disconnectAccount(input: {accountId: "${id}"}) { userErrors { code } } }`
    expect((await instance.ask(disconnect, headers)).data).toEqual({
      disconnectAccount: { userErrors: [{ code: 'ACCOUNT_NOT_FOUND' }] },
    })
  })
})

describe('K-04 a token with every scope', () => {
  test.each([
    ['make another', 'mutation { createApiToken(input: {name: "x", scopes: ["tweets:read"]}) { secret } }'],
    ['list any', '{ apiTokens { id prefix } }'],
    ['revoke one', 'mutation { revokeApiToken(input: {apiTokenId: "x"}) { apiToken { id } } }'],
    ['begin to link an account', 'mutation { startXConnect { authorizationUrl } }'],
    ['end its session', 'mutation { signOut { signedOut } }'],
    ['see where its user is signed in', '{ sessions { id device } }'],
    ['end a session', 'mutation { revokeSession(input: {sessionId: "x"}) { session { id } } }'],
    ['end all others', 'mutation { revokeOtherSessions { revokedCount } }'],
  ])('cannot %s', async (_what, document) => {
    const before = await world.db().select().from(apiTokens)
    const headers = {
      ...bearer(await makeSecret(askers['every scope'])),
      cookie: (await headersOf('session')).cookie ?? '',
    }
    expect(await instance.ask(document, headers)).toMatchObject({ status: 403, data: null })
    expect((await world.db().select().from(apiTokens)).length).toBe(before.length + 1)
  })
})
