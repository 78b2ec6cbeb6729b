import { afterAll, beforeAll, describe, expect, test } from 'vitest'
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

describe('an operation with wrong values', () => {
  test.each<[string, unknown]>([
    ['query($id:ID!){connectAttempt(connectAttemptId:$id){id}}', {}],
    ['query($id:ID!){connectAttempt(connectAttemptId:$id){id}}', { id: null }],
    ['query($id:ID!){connectAttempt(connectAttemptId:$id){id}}', { id: {} }],
    ['query($id:ID!){connectAttempt(connectAttemptId:$id){id}}', { id: [[]] }],
    ['query($id:ID!){connectAttempt(connectAttemptId:$id){id}}', { id: 1.5 }],
    ['query($n:Int){tweets(first:$n){edges{node{id}}}}', { n: 'ten' }],
    ['query($n:Int){tweets(first:$n){edges{node{id}}}}', { n: 2 ** 31 }],
    ['query($n:Int){tweets(first:$n){edges{node{id}}}}', { n: 0 }],
    ['query($n:Int){tweets(first:$n){edges{node{id}}}}', { n: -1 }],
    ['query($n:Int){tweets(first:$n){edges{node{id}}}}', { n: 101 }],
    ['query($n:Int){tweets(last:$n first:$n){edges{node{id}}}}', { n: 1 }],
    ['query($c:String){tweets(after:$c){edges{node{id}}}}', { c: 'x' }],
    ['query($c:String){tweets(before:$c){edges{node{id}}}}', { c: '\0' }],
    [
      'query($c:String){tweets(before:$c){edges{node{id}}}}',
      { c: Buffer.from('999999999999999:x').toString('base64url') },
    ],
    ['query($b:Boolean){connectedAccounts(includeDisconnected:$b){id}}', { b: 'true' }],
    ['mutation($i:StartXConnectInput){startXConnect(input:$i){authorizationUrl}}', { i: { scopes: [null] } }],
    ['mutation($i:StartXConnectInput){startXConnect(input:$i){authorizationUrl}}', { i: { scopes: { a: 1 } } }],
    ['mutation($i:StartXConnectInput){startXConnect(input:$i){authorizationUrl}}', { i: { accessToken: 'x' } }],
    ['mutation($i:PostTweetInput!){postTweet(input:$i){tweet{id}}}', { i: { text: 'x', replySettings: 'NOBODY' } }],
    ['{nope}', undefined],
    ['{viewer}', undefined],
    ['{viewer{id{x}}}', undefined],
    ['subscription{viewer{id}}', undefined],
    ['mutation{viewer{id}}', undefined],
    ['{viewer{id}', undefined],
    ['type Query{a:Int}', undefined],
    ['query($x:Nope){viewer{id}}', undefined],
    ['{viewer @nope {id}}', undefined],
  ])('gets a message about its values: %s %j', async (query, variables) => {
    await expectRefusal(ask(query, variables))
  })

  // Any text can be sent as an id. None of these exists.
  test.each([
    '',
    ' ',
    '0',
    '-1',
    'x',
    '\0',
    'a\0b',
    '\ud800',
    '💥',
    "' or 1=1 --",
    '%',
    '{}',
    'null',
    'x'.repeat(50_000),
    `${crypto.randomUUID()}\0`,
    crypto.randomUUID(),
  ])('finds nothing under the id %j', async (id) => {
    const { response } = await send(
      ask(
        'query($id:ID!){connectAttempt(connectAttemptId:$id){id} connectedAccount(accountId:$id){id} tweet(tweetId:$id){id} tweets(accountId:$id){edges{node{id}}}}',
        { id },
      ),
    )
    expect(response).toEqual({
      data: { connectAttempt: null, connectedAccount: null, tweet: null, tweets: { edges: [] } },
    })
    const code = async (mutation: string) =>
      Object.values((await send(ask(`mutation($id:ID!){${mutation}{userErrors{code}}}`, { id }))).response.data ?? {})
    expect(await code('disconnectAccount(input:{accountId:$id})')).toEqual([
      { userErrors: [{ code: 'ACCOUNT_NOT_FOUND' }] },
    ])
    expect(await code('startXConnect(input:{reconnectAccountId:$id})')).toEqual([
      { userErrors: [{ code: 'ACCOUNT_NOT_FOUND' }] },
    ])
    expect(await code('postTweet(input:{text:"x",accountId:$id})')).toEqual([
      { userErrors: [{ code: 'ACCOUNT_NOT_FOUND' }] },
    ])
    expect(await code('deleteTweet(input:{tweetId:$id})')).toEqual([{ userErrors: [{ code: 'TWEET_NOT_FOUND' }] }])
  })

  test.each(['text/event-stream', 'multipart/mixed', 'image/png', 'x', '', '*/*;q=0'])(
    'is answered whatever is asked for in return: %j',
    async (accept) => {
      const response = await person.request('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept },
        body: ask('{viewer{id}}'),
      })
      expect(response.status).toBeLessThan(500)
    },
  )
})

test('signed out, everything but viewer is UNAUTHENTICATED', async () => {
  const cookie = 'none=1'
  expect((await send(ask('{viewer{id}}'), { cookie })).response).toEqual({ data: { viewer: null } })
  for (const query of [
    '{connectedAccounts{id}}',
    '{connectedAccount(accountId:1){id}}',
    '{connectAttempt(connectAttemptId:1){id}}',
    '{tweet(tweetId:1){id}}',
    '{tweets{edges{node{id}}}}',
    'mutation{startXConnect{authorizationUrl}}',
    'mutation{signOut{signedOut}}',
    'mutation{disconnectAccount(input:{accountId:1}){account{id}}}',
    'mutation{postTweet(input:{text:"x"}){tweet{id}}}',
    'mutation{deleteTweet(input:{tweetId:1}){tweet{id}}}',
  ]) {
    await expectRefusal(ask(query), 'UNAUTHENTICATED', { cookie })
  }
})
