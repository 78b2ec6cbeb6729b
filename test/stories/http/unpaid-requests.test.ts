// What requests that nobody pays for cost the database.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSecret } from '../../../src/auth/api-token-format.ts'
import { randomToken } from '../../../src/crypto.ts'
import { cookieOf } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'

let world: World
let instance: Instance
let cookie: { cookie: string }
beforeAll(async () => {
  world = await startWorld()
  instance = openInstance(world)
  cookie = cookieOf(await world.signedIn())
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

describe('G-18 readiness', () => {
  test('asks the database once a second, however many ask at once or one after the other', async () => {
    const ask = async () => {
      const response = await instance.request('/readyz')
      return [response.status, (await response.text()).slice(0, 17)]
    }
    const ready = [200, '{"status":"ready"']
    const once = await instance.queriesOf(async () => expect(await ask()).toEqual(ready))
    expect(once.length).toBeGreaterThan(0)
    await sleep(1_050)
    const startedAt = performance.now()
    const queries = await instance.queriesOf(async () => {
      for (let round = 0; round < 20; round++)
        expect(await Promise.all(Array.from({ length: 50 }, ask))).toEqual(Array(50).fill(ready))
    })
    const seconds = Math.ceil((performance.now() - startedAt) / 1000)
    expect(queries.length).toBeLessThanOrEqual(once.length * seconds)
    expect(queries.length % once.length).toBe(0)
  })
})

describe('G-18 a path or a method that does not exist', () => {
  test.each([
    ['a session', () => cookie],
    ['a made-up cookie', () => ({ cookie: `xconnect_session=${randomToken()}` })],
    ['a made-up token', () => bearer(createSecret(crypto.randomUUID()))],
    ['nothing', () => ({})],
  ])('causes no query with %s', async (_what, headersOf) => {
    const statuses: number[] = []
    const queries = await instance.queriesOf(async () => {
      for (const [method, path] of [
        ['GET', '/nowhere'],
        ['POST', '/nowhere'],
        ['GET', '/graphql/x'],
        ['GET', '/auth/nowhere'],
        ['DELETE', '/graphql'],
        ['POST', '/auth/github'],
        ['GET', '/auth/sign-out'],
      ] as const) {
        const headers = { ...headersOf(), 'sec-fetch-site': 'same-origin' }
        statuses.push((await instance.request(path, { method, headers })).status)
      }
    })
    expect(queries).toEqual([])
    expect(statuses).toEqual([404, 404, 404, 404, 405, 405, 405])
  })
})
