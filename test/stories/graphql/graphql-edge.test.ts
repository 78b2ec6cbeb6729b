import { request } from 'node:http'
import { getIntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorExtensions } from '../../../src/http/error-response.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { ask, expectGraphqlRefusal, sendGraphql } from '../../support/raw-graphql.ts'

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld()
  person = await world.signedIn()
})
afterAll(() => world.close())

const send = (body: string, headers?: Record<string, string>) => sendGraphql(person, body, headers)
const expectRefusal = (body: string, code?: string, headers?: Record<string, string>) =>
  expectGraphqlRefusal(person, body, code, headers)

describe('an invalid request', () => {
  test.each([
    '',
    ' ',
    'null',
    '1',
    '"x"',
    'true',
    '[]',
    '{',
    '{"query"',
    '{"query":"{viewer{id}}"',
    "{'query':'{viewer{id}}'}",
    '\0',
    '\ufeff',
    '<xml/>',
    '{}',
    '{"query":null}',
    '{"query":1}',
    '{"query":{}}',
    '{"query":[]}',
    '{"query":""}',
    '{"query":" "}',
    '{"query":"#"}',
    '{"Query":"{viewer{id}}"}',
    '{"query":"{viewer{id}}","variables":"x"}',
    '{"query":"{viewer{id}}","variables":[1]}',
    '{"query":"{viewer{id}}","variables":1}',
    '{"query":"{viewer{id}}","operationName":"nope"}',
    '{"query":"{viewer{id}}","operationName":7}',
    '{"query":"{viewer{id}}","operationName":{}}',
    '{"query":"query a{viewer{id}} query b{viewer{id}}"}',
    '{"query":"{viewer{id}}","extensions":"x"}',
    '{"query":"{viewer{id}}","more":1}',
    `${'['.repeat(90_000)}`,
    `{"query":${'{"a":'.repeat(15_000)}1${'}'.repeat(15_000)}}`,
  ])('gets a 4xx with the reason: %s', async (body) => {
    const { status } = await expectRefusal(body)
    expect([200, 400]).toContain(status)
    // Without a document there is no reason for a 200.
    if (!/"query":"[{q]/.test(body) && !/"query":"[ #]?"/.test(body)) expect(status).toBe(400)
  })

  test.each([
    ['{"query":"{viewer{id}}","operationName":"nope"}', 'Send the name of one.'],
    ['{"query":"query a{viewer{id}} query b{viewer{id}}"}', 'Send the name of one.'],
    ['', 'Send {"query": "…"'],
    ['{"query"', 'Send {"query": "…"'],
    ['{}', 'Send {"query": "…"'],
    ['[{"query":"{viewer{id}}"}]', 'Send one document in a request'],
  ])('gets a message with the correct input: %s', async (body, advice) => {
    const { errors } = JSON.parse((await send(body)).text)
    expect(errors).toMatchObject([{ message: expect.stringContaining(advice) }])
  })

  test('G-06 includes a batch', async () => {
    expect((await expectRefusal('[{"query":"{viewer{id}}"},{"query":"{viewer{id}}"}]')).status).toBe(400)
  })

  test('G-13 may name __proto__ and constructor, and changes no prototype', async () => {
    const evil = '{"polluted":"yes","prototype":{"polluted":"yes"}}'
    for (const key of ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']) {
      await expectRefusal(`{"query":"{viewer{id}}","${key}":${evil}}`)
      expect((await send(`{"query":"{viewer{id}}","variables":{"${key}":${evil}}}`)).status).toBe(200)
      await expectRefusal(
        `{"query":"mutation($input:StartXConnectInput){startXConnect(input:$input){authorizationUrl}}","variables":{"input":{"${key}":${evil}}}}`,
      )
      await expectRefusal(ask(`{ ${key} }`))
    }
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
  })
})

describe('an oversized document', () => {
  const aliases = (count: number, field: string) =>
    `{${Array.from({ length: count }, (_, index) => `a${index}:${field}`).join(' ')}}`
  const chain = Array.from(
    { length: 80 },
    (_, index) => `fragment f${index} on Query{...f${index + 1} ...f${index + 1}}`,
  ).join(' ')
  test.each<[string, string]>([
    ['20,000 brackets', '['.repeat(20_000)],
    ['20,000 brackets in an argument', `{connectAttempt(connectAttemptId:${'['.repeat(20_000)}`],
    ['20,000 braces', '{a'.repeat(20_000)],
    ['20,000 braces of an object', `{connectAttempt(connectAttemptId:${'{a:'.repeat(20_000)}`],
    ['30,000 directives', `{viewer ${'@include(if:true)'.repeat(4_000)}{id}}`],
    ['the same field 120 times', aliases(120, 'viewer{id}')],
    ['twenty full pages', aliases(20, 'tweets(first:100){edges{node{id}}}')],
    [
      'twenty full pages beside one that costs nothing',
      aliases(20, 'tweets(first:100){edges{node{id}}}').replace(
        '}}}}}',
        '}}}} b:tweets(first:-99999999){edges{node{id}}}}',
      ),
    ],
    ['fragments that double eighty times', `{...f0} ${chain} fragment f80 on Query{viewer{id} ...f79}`],
    ['a fragment that spreads itself', '{...f} fragment f on Query{...f}'],
    ['a circular introspection', `{__schema{${'types{fields{type{'.repeat(5)}name${'}}}'.repeat(5)}}}`],
    ['a thousand variables', `query(${Array.from({ length: 400 }, (_, index) => `$v${index}:ID`).join()}){viewer{id}}`],
    ['a list of lists', `{connectAttempt(connectAttemptId:[[[[[[[[[[[["x"]]]]]]]]]]]]){id}}`],
  ])('G-05 is refused: %s', async (_what, query) => {
    await expectRefusal(ask(query))
  })

  test('includes a single oversized one, and not those of ordinary clients', async () => {
    const { response } = await send(ask(getIntrospectionQuery({ descriptions: true, inputValueDeprecation: true })))
    expect(response).toMatchObject({ data: { __schema: { queryType: { name: 'Query' } } } })
    const page =
      '{tweets(first:100){edges{cursor node{id xTweetId url text status createdAt postedAt error{code message} account{id username status}}} pageInfo{endCursor hasNextPage}}}'
    expect((await send(ask(page))).response).toMatchObject({ data: { tweets: { edges: [] } } })
  })

  test.each<[string, Record<string, string>, number]>([
    ['with a Content-Length', { 'content-length': '100001' }, 100_001],
    ['of two megabytes with a Content-Length', { 'content-length': '2000000' }, 2_000_000],
    ['in chunks', { 'transfer-encoding': 'chunked' }, 100_001],
    ['of two megabytes in chunks', { 'transfer-encoding': 'chunked' }, 2_000_000],
    ['of ten megabytes in chunks', { 'transfer-encoding': 'chunked' }, 10_000_000],
  ])('G-04 is one of more than 100,000 bytes, %s', async (_how, headers, bytes) => {
    expect(await sendBytes(headers, bytes)).toBe(413)
    const { status, text } = await sendGraphql(world.browser(), ask('{viewer{id}}').padEnd(bytes))
    expect([status, JSON.parse(text)]).toEqual([
      413,
      {
        errors: [
          {
            message: 'The body has more than 100,000 bytes. Send less in one request.',
            extensions: errorExtensions('PAYLOAD_TOO_LARGE'),
          },
        ],
      },
    ])
  })

  test('G-04 of a signed-in person is one of more than 1,200,000 bytes', async () => {
    const { status, response } = await send(ask('{viewer{id}}').padEnd(1_200_001))
    expect([status, response.errors]).toEqual([
      413,
      [
        {
          message: 'The body has more than 1,200,000 bytes. Send less in one request.',
          extensions: errorExtensions('PAYLOAD_TOO_LARGE'),
        },
      ],
    ])
    expect((await send(ask('{viewer{id}}').padEnd(1_200_000))).status).toBe(200)
    // Depth that fits into it is refused as any other, and does not exhaust the stack.
    await expectRefusal(`{"query":"{viewer{id}}","variables":${'{"a":'.repeat(190_000)}1${'}'.repeat(190_000)}}`)
  })

  test('G-04 is not one of 100,000 bytes', async () => {
    expect(await sendBytes({ 'content-length': '100000' }, 100_000)).toBe(200)
    expect(await sendBytes({ 'transfer-encoding': 'chunked' }, 100_000)).toBe(200)
  })
})

/**
 * Posts a query padded to this size, and returns the status. The gateway may close the connection
 * before it has read all.
 */
function sendBytes(headers: Record<string, string>, bytes: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const outgoing = request(
    `${world.url}/graphql`,
    { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
    (incoming) => {
      resolve(incoming.statusCode ?? 0)
      incoming.resume()
    },
  )
  outgoing.once('error', reject)
  outgoing.end(ask('{viewer{id}}').padEnd(bytes, ' '))
  return promise
}
