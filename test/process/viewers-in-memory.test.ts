// Who is asking is kept in memory, at every instance: what one instance ends, the others refuse from
// the next request on, whether notifications reach them or not.
import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import { type Browser, isSignedIn, openBrowser, sessionTokenOf } from '../support/browser.ts'
import { type Cable, openCable } from '../support/cable.ts'
import { findFreePort } from '../support/free-port.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { generousLimits } from '../support/generous-limits.ts'
import { createSandboxSite } from '../support/sandbox-site.ts'

const resources = new AsyncDisposableStack()
let urls: [string, string]
let gateways: GatewayProcess[]
let opened: ReturnType<typeof openPostgres>
/** Through which the second gateway listens. */
let cable: Cable

beforeAll(async () => {
  urls = [`http://127.0.0.1:${await findFreePort()}`, `http://127.0.0.1:${await findFreePort()}`]
  const { connectionString, environment } = await createSandboxSite(resources, urls[0])
  cable = await openCable(connectionString)
  resources.defer(() => cable.close())
  const common = { ...environment, RATE_LIMITS: generousLimits }
  const listening = { DATABASE_POOLER: 'transaction', DATABASE_DIRECT_URL: cable.url }
  gateways = [{}, listening].map((own, index) =>
    startGatewayProcess({ ...common, ...own, PORT: new URL(urls[index] ?? '').port }),
  )
  for (const gateway of gateways) resources.defer(async () => void (await gateway.stop()))
  opened = openPostgres(connectionString)
  resources.defer(() => opened.close())
  await Promise.all(gateways.map((gateway, index) => gateway.ready(urls[index] ?? '')))
}, 240_000)
afterAll(() => resources.disposeAsync())

const countLines = (text: string) => (gateways[1]?.output() ?? '').split(text).length - 1
const LOST = 'Notifications of the database cannot arrive'
const BACK = 'Notifications of the database arrive again'

/** Breaks the connection on which the second gateway listens, and waits until it has noticed. */
async function breakCable(): Promise<void> {
  const before = countLines(LOST)
  cable.break()
  await vi.waitFor(() => expect(countLines(LOST)).toBe(before + 1), 30_000)
}

afterEach(() => cable.mend())

/** Mends it, and waits until the second gateway listens again. */
async function mendCable(): Promise<void> {
  const before = countLines(BACK)
  cable.mend()
  await vi.waitFor(() => expect(countLines(BACK)).toBe(before + 1), 30_000)
}

/** Opens a browser at one of the gateways, with the session of another browser. */
function openAt(index: 0 | 1, person?: Browser): Browser {
  const browser = openBrowser(urls[index])
  resources.defer(() => browser.close())
  for (const [name, value] of person?.cookies ?? []) browser.cookies.set(name, value)
  return browser
}

async function signIn(): Promise<Browser> {
  const person = openAt(0)
  await person.signIn('mara-holt')
  return person
}

async function createToken(person: Browser) {
  const input = { name: 'bot', scopes: ['tweets:read'] }
  const { createApiToken } = await person.api('create-api-token', { input })
  return { secret: createApiToken.secret ?? '', id: createApiToken.apiToken?.id ?? '' }
}

/** Returns whether the second gateway accepts this API token. */
async function acceptsToken(secret: string): Promise<boolean> {
  const response = await fetch(`${urls[1]}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
    body: JSON.stringify({ query: '{ viewer { id } }' }),
  })
  await response.body?.cancel()
  return response.status === 200
}

/** What the second gateway believes, and how the first one ends it. */
type Case = { isTrue(): Promise<boolean>; end(): Promise<unknown> }

const cases: Record<string, () => Promise<Case>> = {
  'a session that signs out': async () => {
    const person = await signIn()
    const elsewhere = openAt(1, person)
    return { isTrue: () => isSignedIn(elsewhere), end: () => person.api('sign-out') }
  },
  'a session that another one revokes': async () => {
    const [person, lost] = [await signIn(), await signIn()]
    const elsewhere = openAt(1, lost)
    const { sessions } = await lost.api('sessions')
    const sessionId = sessions.find(({ current }) => current)?.id
    return { isTrue: () => isSignedIn(elsewhere), end: () => person.api('revoke-session', { input: { sessionId } }) }
  },
  'one of all other sessions': async () => {
    const [person, lost] = [await signIn(), await signIn()]
    const elsewhere = openAt(1, lost)
    return { isTrue: () => isSignedIn(elsewhere), end: () => person.api('revoke-other-sessions') }
  },
  'a session that a new sign-in replaces': async () => {
    const person = await signIn()
    const elsewhere = openAt(1, person)
    return { isTrue: () => isSignedIn(elsewhere), end: () => person.signIn('mara-holt') }
  },
  'an API token that its user revokes': async () => {
    const person = await signIn()
    const { secret, id } = await createToken(person)
    return {
      isTrue: () => acceptsToken(secret),
      end: () => person.api('revoke-api-token', { input: { apiTokenId: id } }),
    }
  },
  'an API token that was found': async () => {
    const { secret } = await createToken(await signIn())
    const body = new URLSearchParams({ token: secret })
    return {
      isTrue: () => acceptsToken(secret),
      end: () => fetch(`${urls[0]}/auth/token/revoke`, { method: 'POST', body }),
    }
  },
  'the session of a deleted user': async () => {
    const [person, other] = [await signIn(), await signIn()]
    const elsewhere = openAt(1, other)
    return {
      isTrue: () => isSignedIn(elsewhere),
      end: () => person.api('delete-viewer', { input: { login: 'mara-holt' } }),
    }
  },
  'the API token of a deleted user': async () => {
    const person = await signIn()
    const { secret } = await createToken(person)
    return {
      isTrue: () => acceptsToken(secret),
      end: () => person.api('delete-viewer', { input: { login: 'mara-holt' } }),
    }
  },
  'that nobody may see the accounts of a user': async () => {
    const person = await signIn()
    const elsewhere = openAt(1, person)
    return {
      isTrue: async () => (await elsewhere.api('viewer')).viewer?.linkVisibility === 'NOBODY',
      end: () => person.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } }),
    }
  },
}
const names = Object.keys(cases).map((name) => [name])

async function startCase(name: string): Promise<Case> {
  // One user, whose visibility the cases begin with.
  await opened.db.execute(sql`delete from users where github_id <> ${0}`)
  await opened.db.execute(sql`delete from user_identities`)
  await opened.db.execute(sql`delete from user_logins`)
  const started = await cases[name]?.()
  if (started === undefined) throw new Error(`No case ${name}`)
  return started
}

describe('K-05 S-07 S-13 the second gateway does not believe any more, once the first one has responded,', () => {
  test.each(names)('in %s, while notifications arrive', async (name) => {
    const { isTrue, end } = await startCase(name)
    for (let time = 0; time < 2; time++) expect(await isTrue()).toBe(true)
    await end()
    expect(await isTrue()).toBe(false)
  })

  test.each(names)('in %s, while notifications cannot arrive, and afterwards', async (name) => {
    const { isTrue, end } = await startCase(name)
    expect(await isTrue()).toBe(true)
    await breakCable()
    expect(await isTrue()).toBe(true)
    await end()
    expect(await isTrue()).toBe(false)
    await mendCable()
    expect(await isTrue()).toBe(false)
  })

  test.each(names)('in %s, which ended while it could not be told', async (name) => {
    const { isTrue, end } = await startCase(name)
    expect(await isTrue()).toBe(true)
    await breakCable()
    await end()
    await mendCable()
    expect(await isTrue()).toBe(false)
  })
})

test('a session is taken from memory while notifications arrive, and from the database otherwise', async () => {
  const person = await signIn()
  const elsewhere = openAt(1, person)
  // Without a notification, as no instance does it.
  const removeRow = () => opened.db.execute(sql`delete from sessions`)
  expect(await isSignedIn(elsewhere)).toBe(true)
  await removeRow()
  expect(await isSignedIn(elsewhere)).toBe(true)
  await breakCable()
  expect(await isSignedIn(elsewhere)).toBe(false)

  await person.signIn('mara-holt')
  elsewhere.cookies.set('xconnect_session', sessionTokenOf(person))
  expect(await isSignedIn(elsewhere)).toBe(true)
  await removeRow()
  expect(await isSignedIn(elsewhere)).toBe(false)
  await mendCable()
  expect(await isSignedIn(elsewhere)).toBe(false)
})

test('S-13 of a hundred sessions that are revoked one after the other, the second gateway accepts none any more', async () => {
  const person = await signIn()
  // One after the other, because a user has fewer sessions at once.
  for (let count = 0; count < 100; count++) {
    const browser = await signIn()
    const elsewhere = openAt(1, browser)
    expect(await isSignedIn(elsewhere)).toBe(true)
    await browser.api('sign-out')
    expect(await isSignedIn(elsewhere)).toBe(false)
  }
  expect(await isSignedIn(openAt(1, person))).toBe(true)
}, 240_000)
