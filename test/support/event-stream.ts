// A client of the event stream: reads server-sent events (GraphQL over SSE) one by one.
import { Agent, fetch } from 'undici'
import type { EventView } from './event-reader.ts'
import { readOperation } from './operations.ts'

export type StreamedEdge = { cursor: string; node: EventView }

type Message = { data?: { events: StreamedEdge } | null; errors?: { message: string; extensions: { code: string } }[] }

export type OpenStream = Awaited<ReturnType<typeof openStream>>

/**
 * Opens a stream.
 * @param variables of the operation follow-events.
 * @param signal hangs up too, also before there is an answer.
 * @param document another subscription.
 */
export async function openStream(
  gatewayUrl: string,
  headers: Record<string, string>,
  variables: Record<string, unknown> = {},
  signal?: AbortSignal,
  document = readOperation('follow-events'),
) {
  const agent = new Agent({ bodyTimeout: 0 })
  const hangingUp = new AbortController()
  const response = await fetch(new URL('/graphql', gatewayUrl), {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      'sec-fetch-site': 'same-origin',
      ...headers,
    },
    body: JSON.stringify({ query: document, variables }),
    signal: signal === undefined ? hangingUp.signal : AbortSignal.any([signal, hangingUp.signal]),
    dispatcher: agent,
  })
  const edges: StreamedEdge[] = []
  const codes: string[] = []
  const messages: string[] = []
  let completed = false
  const ended = read(response.body, (event, data) => {
    if (event === 'complete') completed = true
    if (event !== 'next') return
    const { data: result, errors }: Message = JSON.parse(data)
    if (result) edges.push(result.events)
    for (const { message, extensions } of errors ?? []) {
      messages.push(message)
      codes.push(extensions.code)
    }
  })
    .catch(() => {})
    .then(async () => {
      await agent.close()
      return { completed, codes }
    })
  return {
    status: response.status,
    headers: response.headers,
    /** The events received so far. */
    edges,
    types: () => edges.map(({ node }) => node.type),
    cursor: () => edges.at(-1)?.cursor ?? null,
    /** The messages of its errors. */
    messages,
    /** Resolves when the stream ends: whether cleanly, and with which errors. */
    ended,
    /** Aborts the connection. */
    hangUp: () => {
      hangingUp.abort()
      return ended
    },
  }
}

async function read(
  body: AsyncIterable<Uint8Array> | null,
  take: (event: string, data: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const lines = block.split('\n')
      const field = (name: string) =>
        lines
          .find((line) => line.startsWith(`${name}:`))
          ?.slice(name.length + 1)
          .trim()
      const event = field('event')
      if (event !== undefined) take(event, field('data') ?? '')
    }
  }
}
