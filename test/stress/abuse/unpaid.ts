// Requests for which nobody pays: without rate limits beside as many requests of a signed-in user.
import { createUserSecret } from '../../../src/auth/user-secret.ts'
import { atMost, exactly } from '../chaos/figures.ts'
import { ask } from './ask.ts'
import { type Besides, measureBeside } from './beside.ts'
import { inTurns } from './neighbour.ts'
import type { Victim } from './victim.ts'

// Eight clients that wait for a response before they send again fill one processor, whatever they
// send: each request of another then waits for eight. The flood has to cost no more than others.
const MAX_RATIO_TO_PAID = 1.5

const READ = '{ tweets(first: 1) { edges { cursor } } }'

type Send = () => Promise<number>

/** Asks /readyz, which stays 200. */
export const askReadiness = async (victim: Victim) => (await fetch(`${victim.url}/readyz`)).status

/** Sends a document with a session cookie that is made up. It is served as anonymous. */
export const sendMadeUpCookie = (victim: Victim) =>
  ask(victim.url, '{ viewer { id } }', { cookie: `xconnect_session=${createUserSecret(crypto.randomUUID())}` })

/** /readyz is asked again and again. */
export const floodReadiness = (victim: Victim, requests: number) =>
  besidePaid(victim, requests, () => askReadiness(victim))

/** Each request has a session cookie of its own, which is made up. */
export const floodMadeUpCookies = (victim: Victim, requests: number) =>
  besidePaid(victim, requests, () => sendMadeUpCookie(victim))

async function besidePaid(victim: Victim, requests: number, send: Send): Promise<Besides> {
  const [, greedy = ''] = victim.cookies
  const neighbour = { ...victim.neighbour, query: READ }
  const flood = (sendOne: Send) =>
    measureBeside(
      victim,
      async () => {
        const statuses = await inTurns(requests, sendOne)
        const others = statuses.filter((status) => status !== 200).length
        return [exactly('requests of the flood without a 200', 0, others)]
      },
      neighbour,
    )
  const paid = await flood(() => ask(victim.url, READ, { cookie: greedy }))
  const unpaid = await flood(send)
  const ratio = unpaid.service.medianMilliseconds / paid.service.medianMilliseconds
  return {
    ...unpaid,
    figures: [
      ...unpaid.figures.filter(({ what }) => !what.includes('to the quiet one')),
      atMost('median of others to that beside as many requests of one user', MAX_RATIO_TO_PAID, ratio),
    ],
  }
}
