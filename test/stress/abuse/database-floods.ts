// Users who make the database work: floods of mutations that record events, and scans of a long
// history. Another user, who has a session, is asked for meanwhile and before.
import { exactly } from '../chaos/figures.ts'
import { ask } from './ask.ts'
import { type Besides, measureBeside } from './beside.ts'
import { inTurns } from './neighbour.ts'
import type { Victim } from './victim.ts'

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

// With the rate limits a document is refused with 429.
function besides(victim: Victim, documents: number, greedy: (index: number) => Question): Promise<Besides> {
  const send = ({ query, headers }: Question) => ask(victim.url, query, headers)
  const expected = victim.hasLimits ? [200, 429] : [200]
  return measureBeside(
    victim,
    async () => {
      const statuses = await inTurns(documents, (index) => send(greedy(index)))
      const others = statuses.filter((status) => !expected.includes(status)).length
      return [exactly(`of ${documents} documents those without a ${expected.join(' or ')}`, 0, others)]
    },
    { query: ORDINARY, cookies: victim.hasLimits ? victim.neighbour.cookies : victim.cookies.slice(0, 1) },
  )
}
