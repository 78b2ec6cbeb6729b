import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

test('a user signs in with GitHub, connects an X account, posts a tweet and reads it, through the API alone', async () => {
  const person = world.browser()
  expect(await person.api('viewer')).toEqual({ viewer: null })

  expect(await person.signIn('mara-holt')).toMatchObject({ outcome: 'succeeded', code: null })
  expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt', name: 'Mara Holt' } })
  expect(await person.api('connected-accounts')).toEqual({ connectedAccounts: [] })

  const arrival = await person.connect('maraholt')
  expect(arrival).toMatchObject({ outcome: 'connected', code: null })
  expect(await person.api('connect-attempt', { connectAttemptId: arrival.attempt })).toMatchObject({
    connectAttempt: { status: 'SUCCEEDED', error: null, account: { username: 'maraholt', status: 'ACTIVE' } },
  })
  expect(await person.api('connected-accounts')).toMatchObject({
    connectedAccounts: [
      {
        provider: 'X',
        providerAccountId: '1849302774156890113',
        username: 'maraholt',
        displayName: 'Mara Holt',
        missingScopes: [],
        status: 'ACTIVE',
        statusReason: null,
        nextAction: null,
        maxTweetLength: 280,
        lastUsedAt: null,
      },
    ],
  })

  const posted = await person.api('post-tweet', {
    input: { text: 'Hello from the gateway 👋' },
  })
  expect(posted).toMatchObject({
    postTweet: { tweet: { status: 'POSTED', text: 'Hello from the gateway 👋' }, userErrors: [] },
  })
  const { tweet } = posted.postTweet
  expect(tweet?.url).toBe(`${world.sandbox.url}/maraholt/status/${tweet?.xTweetId}`)
  expect(await (await person.request(tweet?.url ?? '')).text()).toContain('Hello from the gateway')
  expect(world.sandbox.control.tweets('maraholt')).toMatchObject([
    { id: tweet?.xTweetId, text: 'Hello from the gateway 👋' },
  ])
  expect(await person.api('tweets')).toMatchObject({
    tweets: { edges: [{ node: { id: tweet?.id, status: 'POSTED' } }] },
  })

  // users/me is billed: it is called once, at the connect.
  expect(world.sandbox.control.countReceived({ path: '/2/users/me' })).toBe(1)

  expect(await person.api('delete-tweet', { input: { tweetId: tweet?.id } })).toMatchObject({
    deleteTweet: { tweet: { status: 'DELETED' }, userErrors: [] },
  })
  expect(world.sandbox.control.tweets('maraholt')).toEqual([])
})
