import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeTypedClient, readProgram, type TypedClient } from '../support/typed-client.ts'

let client: TypedClient
beforeAll(async () => {
  client = await makeTypedClient()
})
afterAll(() => client[Symbol.asyncDispose]())

test('the program in the manual type-checks against the published schema and operations', async () => {
  expect(await client.check(readProgram())).toBe('')
})

test.each<[string, from: string, to: string, complaint: string]>([
  ['a field that is not selected', 'tweet?.url', 'tweet?.uri', "Property 'uri' does not exist"],
  ['an input that does not exist', 'text:', 'txet:', "'txet' does not exist in type"],
  [
    'an input of another type',
    "text: 'Hello from a program'",
    'text: 1',
    "Type 'number' is not assignable to type 'string'",
  ],
  ['an input that is missing', "text: 'Hello from a program', ", '', "Property 'text' is missing"],
  [
    'an operation that is not published',
    'PostTweetDocument',
    'PostToastDocument',
    "no exported member named 'PostToastDocument'",
  ],
  [
    'a code that is not of the list',
    'userErrors[0]?.message',
    "userErrors[0]?.code === 'RATE_LIMITTED'",
    'have no overlap',
  ],
])('and does not with %s', async (_what, from, to, complaint) => {
  const program = readProgram()
  expect(program).toContain(from)
  expect(await client.check(program.replaceAll(from, to))).toContain(complaint)
})
