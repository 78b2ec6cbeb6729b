// Users who make the database work: floods of mutations that record events, and scans of a long
// history. Another user, who has a session, is asked for meanwhile and before.
import { setTimeout as sleep } from 'node:timers/promises'
import { atMost, exactly, type Figure } from '../chaos/figures.ts'
import { ask, type Service, type Victim } from './victim.ts'

const QUIET_SECONDS = 3
const MAX_MEDIAN_RATIO = 3
const MAX_P99_RATIO = 10
const AT_ONCE = 8
/** A document, and the headers that say whose it is. */
type Question = { query: string; headers: Record<string, string> }

// Aliases of one document.
const LISTS = 15

const ORDINARY = '{ connectedAccounts { id } events(last: 20) { edges { node { id type } } } }'

/** Sixteen changes in each document, of ten users in turns. */
export const floodEvents = (victim: Victim, documents: number) => {
  const [, ...greedy] = victim.cookies
  const change = (number: number) =>
    `setLinkVisibility(input: {visibility: ${number % 2 === 0 ? 'INTEGRATORS' : 'NOBODY'}}) { userErrors { code } }`
  const changes = Array.from({ length: LISTS }, (_, number) => `c${number}: ${change(number)}`)
  const query = `mutation { ${changes.join(' ')} ${change(LISTS)} }`
  return besides(victim, documents, (index) => ({ query, headers: { cookie: greedy[index % greedy.length] ?? '' } }))
}

/** Fifteen lists of what a long history does not have. */
export const scanHistory = (victim: Victim, documents: number) => {
  const filters = ['types: [ACCOUNT_NEEDS_REAUTH]', `accountId: "${crypto.randomUUID()}"`]
  const lists = Array.from(
    { length: LISTS },
    (_, number) => `e${number}: events(${filters[number % filters.length]}) { edges { cursor } }`,
  )
  const query = `{ ${lists.join(' ')} }`
  return besides(victim, documents, () => ({ query, headers: { authorization: `Bearer ${victim.tokens[0]}` } }))
}

async function besides(
  victim: Victim,
  documents: number,
  greedy: (index: number) => Question,
): Promise<{ service: Service; figures: Figure[] }> {
  const send = ({ query, headers }: Question) => ask(victim.url, query, headers)
  const ordinary = () => send({ query: ORDINARY, headers: { cookie: victim.cookies[0] ?? '' } })
  const quiet = await victim.watch(() => sleep(QUIET_SECONDS * 1000), ordinary)
  const statuses: number[] = []
  let next = 0
  const turn = async () => {
    while (next < documents) statuses.push(await send(greedy(next++)))
  }
  const service = await victim.watch(async () => {
    await Promise.all(Array.from({ length: AT_ONCE }, turn))
  }, ordinary)
  const ratio = (of: 'medianMilliseconds' | 'p99Milliseconds') => service[of] / quiet[of]
  const unserved = statuses.filter((status) => status !== 200).length
  return {
    service,
    figures: [
      exactly('requests of others that failed meanwhile', 0, quiet.failed + service.failed),
      exactly(`of ${documents} documents those without a result`, 0, unserved),
      atMost('median of the other user to the quiet one', MAX_MEDIAN_RATIO, ratio('medianMilliseconds')),
      atMost('p99 of the other user to the quiet one', MAX_P99_RATIO, ratio('p99Milliseconds')),
    ],
  }
}
