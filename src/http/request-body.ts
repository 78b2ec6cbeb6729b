import type { Context } from 'hono'

/** The media type of an HTML form without files. */
export const FORM_TYPE = 'application/x-www-form-urlencoded'
/** The largest form that the gateway reads. */
export const MAX_FORM_BYTES = 8_192

/**
 * The media type of a request's body, in lower case and without parameters; undefined without a
 * Content-Type.
 */
export function mediaTypeOf(c: Context): string | undefined {
  return parseMediaType(c.req.header('content-type'))
}

/** Parses the media type of a Content-Type header, without its parameters. */
export function parseMediaType(contentType: string | undefined): string | undefined {
  return contentType?.split(';')[0]?.trim().toLowerCase()
}

/** Reads a form. Returns null when it has more than `MAX_FORM_BYTES`. */
export async function readForm({ body }: Request): Promise<URLSearchParams | null> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    chunks.push(chunk)
    bytes += chunk.byteLength
    if (bytes > MAX_FORM_BYTES) return null
  }
  return new URLSearchParams(Buffer.concat(chunks).toString())
}
