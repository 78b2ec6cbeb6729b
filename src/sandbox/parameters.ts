import { createHash } from 'node:crypto'

/**
 * Request parameters of a form, a JSON body or the query. X's token endpoint reads all three. The
 * body wins over the query; RFC 6749, section 3.2 forbids repeated parameters.
 */
export type Parameters = { get(name: string): string | null; repeated: string | null }

export async function readParameters(request: Request): Promise<Parameters> {
  const query = new URL(request.url).searchParams
  return parameters([bodyEntries(await request.text(), request.headers.get('content-type')), [...query]])
}

/** Returns the parameters of a URL's query. */
export function readQuery(url: string): Parameters {
  return parameters([[...new URL(url).searchParams]])
}

/** What is kept of a file in a recorded request. */
export type FileSummary = { bytes: number; sha256: string }

/**
 * Parses a body for the recorder: the fields of a form, JSON, or the text. A file, which may have
 * megabytes, is recorded as its size and digest.
 */
export async function parseBody(body: Buffer, contentType: string | null): Promise<unknown> {
  if (body.length === 0) return null
  if (mediaType(contentType) === 'multipart/form-data') return parseMultipart(body, contentType ?? '')
  const text = body.toString('utf8')
  if (mediaType(contentType) === 'application/x-www-form-urlencoded') {
    return Object.fromEntries(new URLSearchParams(text))
  }
  if (!mediaType(contentType).endsWith('json')) return text
  const json = parseJson(text) ?? text
  const isFile = typeof json === 'object' && json !== null && 'media' in json && typeof json.media === 'string'
  return isFile ? { ...json, media: summarizeFile(Buffer.from(String(json.media), 'base64')) } : json
}

async function parseMultipart(body: Buffer, contentType: string): Promise<unknown> {
  const response = new Response(new Uint8Array(body), { headers: { 'content-type': contentType } })
  const form = await response.formData().catch(() => null)
  if (form === null) return null
  const fields = [...form].map(
    async ([name, value]): Promise<[string, unknown]> => [
      name,
      typeof value === 'string' ? value : summarizeFile(Buffer.from(await value.arrayBuffer())),
    ],
  )
  return Object.fromEntries(await Promise.all(fields))
}

function summarizeFile(bytes: Buffer): FileSummary {
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
}

/** Returns the media type of a Content-Type header, without parameters and in lower case. */
export function mediaType(contentType: string | null): string {
  return (contentType ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
}

/** Parses JSON; undefined for other text, since null is a JSON value. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function bodyEntries(text: string, contentType: string | null): [string, string][] {
  if (mediaType(contentType) === 'application/json') {
    const value = parseJson(text)
    if (typeof value !== 'object' || value === null) return []
    return Object.entries(value).flatMap(([name, item]): [string, string][] =>
      typeof item === 'string' || typeof item === 'number' ? [[name, String(item)]] : [],
    )
  }
  // Some clients omit the content type of a form.
  return mediaType(contentType).startsWith('multipart/') ? [] : [...new URLSearchParams(text)]
}

function parameters(sources: [string, string][][]): Parameters {
  let repeated: string | null = null
  const values = new Map<string, string>()
  for (const source of sources) {
    const seen = new Set<string>()
    for (const [name, value] of source) {
      if (seen.has(name)) repeated ??= name
      seen.add(name)
      if (!values.has(name)) values.set(name, value)
    }
  }
  // RFC 6749, section 3.1: parameters sent without a value are treated as omitted.
  return { get: (name) => values.get(name) || null, repeated }
}
