import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseTokenCommand } from '../../../src/cli/token.ts'
import { UsageError } from '../../../src/cli/usage-error.ts'
import { apiTokens, OPERATOR_ID } from '../../../src/db/tables.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

async function run(...words: string[]) {
  const [results, messages]: [string[], string[]] = [[], []]
  const output = { result: (line: string) => results.push(line), message: (line: string) => messages.push(line) }
  const code = await parseTokenCommand(words)({ db: world.db(), clock: world.clock }, output)
  return { code, results, messages: messages.join('\n') }
}

test('creates an operator’s token, prints the token alone, and lists and revokes it', async () => {
  expect(await run('list')).toMatchObject({ code: 0, results: [] })
  const made = await run(
    'create',
    '--name',
    'status page',
    '--scopes',
    'accounts:read, events:read',
    '--expires-in-days',
    '7',
  )
  expect(made).toMatchObject({ code: 0, results: [expect.stringMatching(/^xcg_[0-9A-Za-z]{55}$/)] })
  const [row] = await world.db().select().from(apiTokens)
  expect(row).toMatchObject({ userId: OPERATOR_ID, name: 'status page', scopes: ['accounts:read', 'events:read'] })
  expect((row?.expiresAt.getTime() ?? 0) - (row?.createdAt.getTime() ?? 0)).toBe(7 * 86_400_000)
  expect((await run('list')).results).toEqual([
    expect.stringMatching(/^[-0-9a-f]{36} {2}ACTIVE {3}xcg_\w{4}…\w{4} {2}until 20.* never used .*status page$/),
  ])
  for (let time = 0; time < 2; time++)
    expect(await run('revoke', row?.id ?? '')).toEqual({ code: 0, results: [], messages: '"status page" is revoked.' })
  expect((await run('list')).results).toEqual([expect.stringContaining('REVOKED')])
})

test.each<[string[]]>([
  [[]],
  [['make']],
  [['list', 'all']],
  [['revoke']],
  [['create', '--name', 'x']],
  [['create', '--scopes', 'accounts:read']],
  [['create', '--name', 'x', '--scopes', 'accounts:read', '--forever']],
  [['create', '--name', 'x', '--scopes', 'accounts:read', 'more']],
])('is no command: %j', (words) => {
  expect(() => parseTokenCommand(words)).toThrow(UsageError)
})

test.each<[string[]]>([
  [['create', '--name', '', '--scopes', 'accounts:read']],
  [['create', '--name', 'x', '--scopes', '']],
  [['create', '--name', 'x', '--scopes', 'tweets:write']],
  [['create', '--name', 'x', '--scopes', 'accounts:read', '--expires-in-days', 'never']],
  [['create', '--name', 'x', '--scopes', 'accounts:read', '--expires-in-days', '']],
  [['create', '--name', 'x', '--scopes', 'accounts:read', '--expires-in-days', '367']],
  [['revoke', 'x']],
  [['revoke', '0b5c3d4e-0000-4000-8000-000000000000']],
])('refuses %j with a sentence, and creates nothing', async (words) => {
  const before = await world.db().$count(apiTokens)
  const ran = await run(...words)
  expect([ran.code, ran.results]).toEqual([1, []])
  expect(ran.messages.length).toBeGreaterThan(20)
  expect(await world.db().$count(apiTokens)).toBe(before)
})

test('does not list users’ tokens', async () => {
  const person = await world.signedIn()
  await person.api('create-api-token', { input: { name: 'hers', scopes: ['tweets:read'] } })
  const [row] = (await world.db().select().from(apiTokens)).filter(({ name }) => name === 'hers')
  expect((await run('list')).results.join()).not.toContain('hers')
  expect((await run('revoke', row?.id ?? '')).code).toBe(1)
})
