// Prints each event from now on exactly once, for as long as it runs.
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, NetworkError } from 'graphql-sse'

type Edge = { cursor: string; node: { type: string; accountId: string | null; tweetId: string | null } }

const url = `${process.env.GATEWAY_URL ?? 'http://127.0.0.1:3000'}/graphql`
const headers = { authorization: `Bearer ${process.env.TOKEN}`, 'content-type': 'application/json' }
const query = 'subscription Follow($after: String) { events(after: $after) { cursor node { type accountId tweetId } } }'
// All other errors are temporary. Every stream ends with STREAM_ENDED.
const FINAL_CODES = ['UNAUTHENTICATED', 'FORBIDDEN', 'BAD_USER_INPUT', 'CURSOR_EXPIRED']
const FINAL_STATUSES = [400, 401, 403]

// The client's own retries would repeat the cursor that the stream was opened with.
const client = createClient({ url, headers, retryAttempts: 0 })
for await (const event of follow(await findEnd())) console.log(JSON.stringify(event))

/** Returns the cursor of the newest event. */
async function findEnd(): Promise<string> {
  const body = JSON.stringify({ query: '{ events(last: 1) { pageInfo { endCursor } } }' })
  const response = await fetch(url, { method: 'POST', headers, body })
  const { data, errors } = await response.json()
  if (errors) throw new Error(errors[0].message)
  return data.events.pageInfo.endCursor
}

/** Yields the events after a cursor, and opens the next stream when one has ended. Throws when that would not help. */
async function* follow(after: string): AsyncGenerator<Edge['node']> {
  for (;;) {
    let refusal: string | undefined
    try {
      for await (const { data, errors } of client.iterate<{ events: Edge }>({ query, variables: { after } })) {
        refusal ??= errors?.find(({ extensions }) => FINAL_CODES.includes(String(extensions.code)))?.message
        if (!data) continue
        after = data.events.cursor
        yield data.events.node
      }
    } catch (error) {
      if (error instanceof NetworkError && FINAL_STATUSES.includes(error.response?.status)) throw error
    }
    if (refusal) throw new Error(refusal)
    await sleep(500 + 1000 * Math.random())
  }
}
