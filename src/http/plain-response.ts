import type { PlainResponse } from './request-context.ts'

/** Reads a response whose body is a text and that sets no cookie. */
export async function readPlainResponse(response: Response): Promise<PlainResponse> {
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() }
}
