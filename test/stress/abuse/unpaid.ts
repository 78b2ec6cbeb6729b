// Requests for which nobody pays, beside a signed-in user who reads from the database.
import { setTimeout as sleep } from 'node:timers/promises'
import { createUserSecret } from '../../../src/auth/user-secret.ts'
import { atMost, exactly, type Figure } from '../chaos/figures.ts'
import { ask, type Service, type Victim } from './victim.ts'

const AT_ONCE = 8
const QUIET_MILLISECONDS = 3_000
const MAX_RATIO = 3

/** /readyz is asked again and again. It stays 200. */
export const floodReadiness = (victim: Victim, requests: number) =>
  besideReader(victim, requests, async () => (await fetch(`${victim.url}/readyz`)).status)

/** Each request has a session cookie of its own, which is made up. It is served as anonymous. */
export const floodMadeUpCookies = (victim: Victim, requests: number) =>
  besideReader(victim, requests, () =>
    ask(victim.url, '{ viewer { id } }', { cookie: `xconnect_session=${createUserSecret(crypto.randomUUID())}` }),
  )

async function besideReader(victim: Victim, requests: number, send: () => Promise<number>) {
  const read = () => ask(victim.url, '{ tweets(first: 1) { edges { cursor } } }', { cookie: victim.cookies[0] ?? '' })
  const quiet = await victim.watch(() => sleep(QUIET_MILLISECONDS), read)
  const statuses: number[] = []
  const flood = async () => {
    while (statuses.length < requests) statuses.push(await send())
  }
  const service = await victim.watch(async () => {
    await Promise.all(Array.from({ length: AT_ONCE }, flood))
  }, read)
  const figures: Figure[] = [
    exactly('requests of others that failed meanwhile', 0, service.failed + quiet.failed),
    exactly('requests of the flood without a 200', 0, statuses.filter((status) => status !== 200).length),
    ...compare(service, quiet),
  ]
  return { service, memoryMb: victim.memoryMb(), figures }
}

function compare(service: Service, quiet: Service): Figure[] {
  const ratio = service.medianMilliseconds / quiet.medianMilliseconds
  const last = service.p99Milliseconds / quiet.p99Milliseconds
  return [
    atMost('median of a reader to the quiet one', MAX_RATIO, ratio),
    atMost('p99 of a reader to the quiet one', 2 * MAX_RATIO, last),
  ]
}
