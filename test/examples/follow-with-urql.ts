// Prints each event from now on exactly once, for as long as it runs.
import { setTimeout as sleep } from 'node:timers/promises'
import { type CombinedError, createClient, fetchExchange, gql } from '@urql/core'

type Edge = { cursor: string; node: { type: string; accountId: string | null; tweetId: string | null } }

const client = createClient({
  url: `${process.env.GATEWAY_URL ?? 'http://127.0.0.1:3000'}/graphql`,
  fetchOptions: { headers: { authorization: `Bearer ${process.env.TOKEN}` } },
  exchanges: [fetchExchange],
  fetchSubscriptions: true,
  preferGetMethod: false,
})
const EVENTS = gql<{ events: Edge }, { after: string }>`
  subscription Follow($after: String) { events(after: $after) { cursor node { type accountId tweetId } } }
`
// All other errors are temporary. Every stream ends with STREAM_ENDED.
const FINAL_CODES = ['UNAUTHENTICATED', 'FORBIDDEN', 'BAD_USER_INPUT', 'CURSOR_EXPIRED']

const { data, error } = await client.query(gql`{ events(last: 1) { pageInfo { endCursor } } }`, {})
if (error) throw error
await follow(data.events.pageInfo.endCursor, (event) => console.log(JSON.stringify(event)))

/** Yields the events after a cursor, and opens the next stream when one has ended. Throws when that would not help. */
async function follow(after: string, take: (event: Edge['node']) => void): Promise<never> {
  for (;;) {
    const error = await new Promise<CombinedError | undefined>((resolve) => {
      client.subscription(EVENTS, { after }).subscribe(({ data, error, hasNext }) => {
        // urql repeats the last event together with the error, and once more at the end of the stream.
        if (data && data.events.cursor !== after) {
          take(data.events.node)
          after = data.events.cursor
        }
        if (!hasNext) resolve(error)
      })
    })
    const codes = error?.graphQLErrors.map(({ extensions }) => String(extensions.code)) ?? []
    if (codes.some((code) => FINAL_CODES.includes(code))) throw error
    await sleep(500 + 1000 * Math.random())
  }
}
