// A response of a provider that stays open. The rules of other calls are a deadline and a size limit
// for the whole response; here they are for each pause and each line.
import { type Dispatcher, request } from 'undici'

/** A response that stays open, whose body is read line by line. */
export type ProviderStream = { status: number; lines: AsyncIterable<string>; close(): void }

// An event has some hundred bytes.
const MAX_LINE_BYTES = 64 * 1024

export type StreamOptions = {
  headers: Record<string, string>
  /** The limit until the response begins. */
  headersSeconds: number
  /** A stream that sends nothing for this long has failed: its connection is gone. */
  idleSeconds: number
  signal: AbortSignal
}

/**
 * Sends a GET request, and returns once the response has begun.
 * @param dispatcher makes the connection, directly or through the proxy.
 * @throws when there is no response, or a compressed one. `lines` throws when the stream fails, and
 * returns when the provider ends it.
 */
export async function openProviderStream(
  dispatcher: Dispatcher,
  url: string,
  { headers, headersSeconds, idleSeconds, signal }: StreamOptions,
): Promise<ProviderStream> {
  const response = await request(url, {
    dispatcher,
    headers: { ...headers, 'accept-encoding': 'identity' },
    headersTimeout: headersSeconds * 1000,
    bodyTimeout: idleSeconds * 1000,
    signal,
  })
  // A body that is destroyed before its end, or fails while nobody reads it, emits an error, which ends
  // the process without a listener. Its reader gets the error all the same.
  response.body.on('error', () => {})
  const encoding = response.headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity') {
    response.body.destroy()
    throw new Error('The stream is compressed, although the request asked for identity.')
  }
  return { status: response.statusCode, lines: readLines(response.body), close: () => response.body.destroy() }
}

async function* readLines(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/)
    rest = lines.pop() ?? ''
    if (rest.length > MAX_LINE_BYTES) throw new Error(`A line of the stream has more than ${MAX_LINE_BYTES} bytes.`)
    for (const line of lines) if (line !== '') yield line
  }
}
