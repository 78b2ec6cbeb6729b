import { expect, test } from 'vitest'
import { connectAccount } from '../../support/connected-account.ts'
import { startWorld } from '../../support/harness.ts'
import { makeTypedClient, readProgram } from '../../support/typed-client.ts'

test('the program in the manual posts with an API token, once in any number of runs, and prints errors', async () => {
  await using resources = new AsyncDisposableStack()
  const world = await startWorld()
  resources.defer(() => world.close())
  const client = resources.use(await makeTypedClient())
  const account = await connectAccount(world)
  const TOKEN = await account.makeToken(['tweets:write'])
  const program = readProgram().replace('http://127.0.0.1:3000', world.url)
  expect(program).toContain(world.url)

  const printed = await client.run(program, { TOKEN })
  const [tweet, ...more] = world.sandbox.control.tweets(account.username)
  expect(tweet?.text).toBe('Hello from a program')
  expect(more).toEqual([])
  expect(printed).toBe(`${world.sandbox.url}/${account.username}/status/${tweet?.id}\n`)
  expect(await client.run(program, { TOKEN })).toBe(printed)
  expect(world.sandbox.control.tweets(account.username)).toHaveLength(1)

  expect(await client.run(program.replace('Hello from', ''), { TOKEN })).toMatch(/idempotency key was used/)
  expect(await client.run(program, { TOKEN: 'xcg_junk' })).toMatch(/Error: This API token is not valid/)
})
