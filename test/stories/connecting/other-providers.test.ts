import { afterAll, beforeAll, expect, test } from 'vitest'
import { deployment } from '../../../src/db/tables.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

test('refuses to use a database of the sandbox with the real GitHub and X, where its ids are other users', async () => {
  const person = await world.connected('maraholt')
  const real = { sandbox: null, github: { ...world.config.github, url: 'https://github.com' } }
  await expect(world.restart(real)).rejects.toThrow(/people and accounts of the sandbox.*start with an empty database/)
  await world.restart({
    sandbox: { port: 0, followsPort: false },
    github: { ...world.config.github, url: world.sandbox.url },
  })
  expect(await world.db().select().from(deployment)).toMatchObject([{ onlyRow: true, providers: 'the sandbox' }])
  expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
})
