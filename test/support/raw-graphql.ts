// Sends raw requests to /graphql, without a client library, and returns the whole response.
import { expect } from 'vitest'
import { errorCodes } from '../../src/error-codes.ts'
import type { Browser } from './browser.ts'

type ReceivedResponse = { data?: unknown; errors?: { message: string; extensions?: { code?: string } }[] }

export async function sendGraphql(person: Browser, body: string, headers: Record<string, string> = {}) {
  const response = await person.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  })
  const text = await response.text()
  return { status: response.status, text, response: JSON.parse(text) as ReceivedResponse }
}

/**
 * Sends a request that must be refused: without a 5xx, and each error with a message and a
 * published code.
 */
export async function expectGraphqlRefusal(
  person: Browser,
  body: string,
  code = 'BAD_USER_INPUT',
  headers: Record<string, string> = {},
) {
  const { status, text, response } = await sendGraphql(person, body, headers)
  const seen = `${body.slice(0, 200)} → ${text.slice(0, 500)}`
  expect(status, seen).toBeLessThan(500)
  expect(response.errors?.length, seen).toBeGreaterThan(0)
  for (const error of response.errors ?? []) {
    expect(error.extensions?.code, seen).toBe(code)
    expect(Object.keys(errorCodes)).toContain(code)
    expect(error.message.length, seen).toBeGreaterThan(10)
  }
  expect(text, seen).not.toMatch(/stack|node_modules|\.ts:|SyntaxError|Failed query|select /i)
  return { status, response }
}

/** Returns the body of a request. */
export const ask = (query: string, variables?: unknown) =>
  JSON.stringify({ query, ...(variables !== undefined && { variables }) })
