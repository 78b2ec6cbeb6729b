// The number of statements that a request needs. BEGIN and COMMIT are not counted, and the statement
// that takes a slice of a rate limit for many requests is counted apart.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Browser, cookieOf } from '../../support/browser.ts'
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

/** Returns the statements of a request, without those of rate limits. */
async function statementsOf(request: () => Promise<{ status: number }>, status = 200): Promise<string[]> {
  const statements = await instance.queriesOf(async () => expect((await request()).status).toBe(status))
  return statements.filter((text) => !text.includes('"rate_limits"'))
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
