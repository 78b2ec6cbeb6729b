/**
 * Request parameters wherever a client puts them: form, JSON body or query. X's token endpoint reads all three (fact sheet,
 * section 1). The body wins over the query; RFC 6749, section 3.2 forbids naming one twice.
 */
export type Parameters = { get(name: string): string | null; repeated: string | null }

export async function readParameters(request: Request): Promise<Parameters> {
  const query = new URL(request.url).searchParams
  return parameters([bodyEntries(await request.text(), request.headers.get('content-type')), [...query]])
}

export function readQuery(url: string): Parameters {
  return parameters([[...new URL(url).searchParams]])
}

/** The body as a value, for the record of received requests: fields of a form, JSON, or the text. */
export function parseBody(text: string, contentType: string | null): unknown {
  if (text === '') return null
  if (mediaType(contentType) === 'application/x-www-form-urlencoded') {
    return Object.fromEntries(new URLSearchParams(text))
  }
  return mediaType(contentType).endsWith('json') ? (parseJson(text) ?? text) : text
}

export function mediaType(contentType: string | null): string {
  return (contentType ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
}

/** undefined for text that is no JSON: null is a JSON value. */
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
  // Some clients forget the content type of a form; nothing else is text with equals signs.
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
