import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import { connectAttempts } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => world.sandbox.control.clearFaults())
afterAll(() => world.close())

type Account = { id: string; username: string; status: string; connectedAt: string }
const accountsOf = async (person: Browser) =>
  (await person.api<{ connectedAccounts: Account[] }>('connected-accounts')).connectedAccounts

/** A new X account, so that stories do not meet. */
let lastNumber = 0
function newAccount(): string {
  lastNumber += 1
  const username = `linked_${lastNumber}`
  world.sandbox.control.addAccount(username)
  return username
}

async function authorizeUrl(person: Browser, input?: Record<string, unknown>) {
  const { authorizationUrl, connectAttempt: attempt, userErrors } = await person.startXConnect(input)
  expect(userErrors).toEqual([])
  return {
    url: authorizationUrl ?? '',
    attempt: attempt?.id ?? '',
    asked: new URL(authorizationUrl ?? '').searchParams,
  }
}

describe('the authorization request', () => {
  test('O-01 O-12 has a new state, a new S256 challenge, and the scopes of posting', async () => {
    const person = await world.signedIn()
    const [first, second] = [await authorizeUrl(person), await authorizeUrl(person)]
    for (const { url, asked } of [first, second]) {
      expect(url.startsWith(`${world.sandbox.url}/i/oauth2/authorize?`)).toBe(true)
      // X wants %20 between scopes.
      expect(url).toContain('scope=tweet.read%20tweet.write%20users.read%20offline.access')
      expect(Object.fromEntries(asked)).toMatchObject({
        response_type: 'code',
        client_id: world.config.x.clientId,
        redirect_uri: `${world.url}/auth/x/callback`,
        code_challenge_method: 'S256',
      })
      expect(asked.get('code_challenge')).toMatch(/^[\w-]{43}$/)
      expect(asked.get('state')).toMatch(/^[0-9a-f-]{36}\.[\w-]{43}$/)
    }
    expect(first.asked.get('code_challenge')).not.toBe(second.asked.get('code_challenge'))
    expect(first.asked.get('state')).not.toBe(second.asked.get('state'))
  })

  test('O-01 the verifier has 128 characters; state and verifier are not in the table as plain text, and the used verifier is deleted', async () => {
    const person = await world.signedIn()
    const { url, asked, attempt } = await authorizeUrl(person)
    const rowOf = (id: string) =>
      world.db().query.connectAttempts.findFirst({ where: (table, { eq }) => eq(table.id, id) })
    const before = await rowOf(attempt)
    expect(before).toMatchObject({ stateHash: sha256(asked.get('state') ?? ''), status: 'PENDING', takenAt: null })
    expect(await person.finish(await person.consent(url, newAccount()))).toMatchObject({
      outcome: 'connected',
      attempt,
    })
    const sent = world.sandbox.control.received({ path: '/2/oauth2/token' }).at(-1)
    const verifier = new Map(Object.entries(sent?.body ?? {})).get('code_verifier')
    expect(verifier).toMatch(/^[\w-]{128}$/)
    expect(createHash('sha256').update(verifier).digest('base64url')).toBe(asked.get('code_challenge'))
    for (const secret of [verifier, asked.get('state')]) expect(JSON.stringify(before)).not.toContain(secret)
    expect(await rowOf(attempt)).toMatchObject({ status: 'SUCCEEDED', verifierSealed: null })
  })

  test('users/me is called once, with the new token, and never to show accounts', async () => {
    const person = await world.signedIn()
    const asked = () => world.sandbox.control.received({ path: '/2/users/me' })
    const before = asked().length
    const username = newAccount()
    await person.connect(username)
    await accountsOf(person)
    expect(
      asked()
        .slice(before)
        .map(({ headers }) => headers.authorization),
    ).toEqual([`Bearer ${world.sandbox.control.grants(username)[0]?.accessToken}`])
  })

  test('refuses a scope that X does not know before X is visited', async () => {
    const person = await world.signedIn()
    const before = await world.db().$count(connectAttempts)
    for (const scopes of [
      ['tweet.read', 'tweets.write'],
      [''],
      ['tweet.read tweet.write'],
      ['constructor'],
      ['TWEET.READ'],
      ['tweet.read\0'],
    ]) {
      const { authorizationUrl, userErrors } = await person.startXConnect({ scopes })
      expect(authorizationUrl).toBeNull()
      expect(userErrors).toMatchObject([{ code: 'BAD_USER_INPUT', field: ['input', 'scopes'], retryable: false }])
    }
    const byRoute = await person.request('/auth/x?scopes=tweets.write')
    expect(byRoute.headers.get('location')).toBe(`${world.url}/?xConnect=failed&code=BAD_USER_INPUT`)
    expect(await world.db().$count(connectAttempts)).toBe(before)
  })

  test('X knows every scope that the gateway knows', async () => {
    const person = await world.signedIn()
    const { userErrors } = await person.startXConnect({ scopes: ['?'] })
    const known = /It knows (.*)\.$/.exec(userErrors[0]?.message ?? '')?.[1]?.split(', ') ?? []
    expect(known.length).toBeGreaterThan(15)
    const { url } = await authorizeUrl(person, { scopes: known })
    expect((await person.request(url)).status).toBe(200)
  })

  test('refuses an impossible username or account id too', async () => {
    const person = await world.signedIn()
    for (const expectedUsername of ['a b', '@@x', 'x'.repeat(51), 'jack\0', '<b>', '💥']) {
      expect((await person.startXConnect({ expectedUsername })).userErrors).toMatchObject([{ code: 'BAD_USER_INPUT' }])
    }
    const stranger = await world.connected(newAccount(), 'tomasz-k')
    const [theirs] = await accountsOf(stranger)
    const { userErrors } = await person.startXConnect({ reconnectAccountId: theirs?.id })
    expect(userErrors).toMatchObject([{ code: 'ACCOUNT_NOT_FOUND', field: ['input', 'reconnectAccountId'] }])
  })
})
