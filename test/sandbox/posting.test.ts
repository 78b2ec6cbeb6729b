import { describe, expect, it } from 'vitest'
import { at, call, connectAccount, openSandbox, post } from './client.ts'

const NOT_PERMITTED = 'You are not permitted to perform this action.'

/** Returns the four members of an about:blank problem. */
function blank(status: number, title: string, detail: string) {
  return { title, detail, type: 'about:blank', status }
}

describe('posting at X', () => {
  it('responds 201 with an id of 19 digits, and rate-limit headers', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const first = await post(sandbox, access, 'hello')
    const second = await post(sandbox, access, 'hello again')
    const id = String(at(first.body, 'data', 'id'))
    expect(first.status).toBe(201)
    expect(first.body).toEqual({ data: { id, text: 'hello', edit_history_tweet_ids: [id] } })
    expect(id).toMatch(/^\d{19}$/)
    expect(String(Number(id))).not.toBe(id)
    expect(BigInt(String(at(second.body, 'data', 'id'))) > BigInt(id)).toBe(true)
    expect(first.headers.get('x-rate-limit-remaining')).toBe('99')
    expect(second.headers.get('x-user-limit-24hour-remaining')).toBe('9998')
    expect(sandbox.control.tweets('maraholt').map((tweet) => tweet.id)).toContain(id)
  })

  it('issues growing ids, also when the clock is set back', async () => {
    const sandbox = await openSandbox()
    const first = sandbox.control.postAs('maraholt', 'now')
    sandbox.control.setClockOffset(-3600)
    expect(BigInt(sandbox.control.postAs('maraholt', 'an hour ago')) > BigInt(first)).toBe(true)
  })

  it('rewrites URLs to t.co and encodes & < >', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const { body } = await post(
      sandbox,
      access,
      'a < b && see https://example.com/x?y=1&z=2. or example.org (b > a) x@example.org',
    )
    expect(at(body, 'data', 'text')).toMatch(
      /^a &lt; b &amp;&amp; see https:\/\/t\.co\/\w{10}\. or https:\/\/t\.co\/\w{10} \(b &gt; a\) x@example\.org$/,
    )
    const id = String(at(body, 'data', 'id'))
    const shown = await call(sandbox, access, 'GET', `/2/tweets/${id}?tweet.fields=entities`)
    expect(at(shown.body, 'data', 'entities', 'urls', 0, 'expanded_url')).toBe('https://example.com/x?y=1&z=2')
    expect(at(shown.body, 'data', 'entities', 'urls', 1, 'expanded_url')).toBe('http://example.org')
    expect(sandbox.control.tweets()[0]?.sentText).toContain('x?y=1&z=2')
  })

  it.each([
    ['280 letters', 'a'.repeat(280), 201],
    ['281 letters', 'a'.repeat(281), 403],
    ['140 ideographs', '漢'.repeat(140), 201],
    ['141 ideographs', '漢'.repeat(141), 403],
    ['140 families, each one emoji', '👨‍👩‍👧‍👦'.repeat(140), 201],
    ['an emoji newer than Unicode 12', `${'❤️‍🔥'.repeat(140)}`, 201],
    ['a long URL as 23', `${'a'.repeat(256)} https://example.com/${'b'.repeat(300)}`, 201],
    ['the same with one letter more', `${'a'.repeat(257)} https://example.com/${'b'.repeat(300)}`, 403],
    ['a URL without a scheme', `${'a'.repeat(257)} example.com`, 403],
    ['decomposed letters, composed first', 'e\u0301'.repeat(280), 201],
  ])('counts %s', async (_title, text, status) => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    expect((await post(sandbox, access, text)).status).toBe(status)
  })

  it('allows Premium accounts 25,000 characters', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox, 'tomasz_k')
    expect((await post(sandbox, access, 'a'.repeat(25_000))).status).toBe(201)
    const refused = await post(sandbox, access, 'a'.repeat(25_001))
    expect(refused.body).toEqual(blank(403, 'Forbidden', NOT_PERMITTED))
    sandbox.control.setAccount('tomasz_k', { subscriptionType: 'None' })
    expect((await post(sandbox, access, 'b'.repeat(281))).status).toBe(403)
  })
})

describe('X responds', () => {
  it('401 to a token that is expired, revoked or unknown, without rate-limit headers', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    sandbox.control.expireAccessToken('maraholt')
    for (const token of [access, 'garbage']) {
      const { status, body, headers } = await post(sandbox, token, 'hello')
      expect([status, body]).toEqual([401, blank(401, 'Unauthorized', 'Unauthorized')])
      expect([...headers.keys()].filter((name) => name.includes('limit'))).toEqual([])
      expect(headers.get('content-type')).toBe('application/problem+json')
    }
    expect((await fetch(`${sandbox.url}/2/users/me`)).status).toBe(401)
  })

  it('403 to duplicate content of the same account within a day, while the first tweet exists', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const other = await connectAccount(sandbox, 'tomasz_k')
    const first = await post(sandbox, access, 'good morning')
    const again = await post(sandbox, access, ' good morning ')
    const detail = 'You are not allowed to create a Tweet with duplicate content.'
    expect(again.body).toEqual(blank(403, 'Forbidden', detail))
    expect(again.headers.get('x-rate-limit-remaining')).toBe('98')
    expect((await post(sandbox, other.access, 'good morning')).status).toBe(201)
    await call(sandbox, access, 'DELETE', `/2/tweets/${at(first.body, 'data', 'id')}`)
    expect((await post(sandbox, access, 'good morning')).status).toBe(201)
    sandbox.control.advance(86_400)
    const { access: tomorrow } = await connectAccount(sandbox)
    expect((await post(sandbox, tomorrow, 'good morning')).status).toBe(201)
  })

  it('403 Forbidden to a token without the scope', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox, 'maraholt', 'tweet.read users.read offline.access')
    expect((await post(sandbox, access, 'hello')).body).toEqual(blank(403, 'Forbidden', 'Forbidden'))
    expect((await call(sandbox, access, 'DELETE', '/2/tweets/1')).status).toBe(403)
    expect((await call(sandbox, access, 'GET', '/2/users/me')).status).toBe(200)
    const blind = await connectAccount(sandbox, 'maraholt', 'tweet.write offline.access')
    expect((await call(sandbox, blind.access, 'GET', '/2/users/me')).body).toEqual(blank(403, 'Forbidden', 'Forbidden'))
  })

  it('403 to a reply whose target’s author did not mention the account, and to every quote', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const foreign = sandbox.control.postAs('tomasz_k', 'nobody in particular')
    const mention = sandbox.control.postAs('tomasz_k', 'what do you say, @MaraHolt?')
    const own = sandbox.control.postAs('maraholt', 'my thread')
    const detail = 'You can only reply to or quote posts where you are mentioned or are the author.'
    const reply = (id: string) => post(sandbox, access, `reply to ${id}`, { reply: { in_reply_to_tweet_id: id } })
    const quote = await post(sandbox, access, 'quote', { quote_tweet_id: mention })
    for (const { status, body } of [await reply(foreign), quote]) {
      expect([status, body.detail]).toEqual([403, detail])
      expect(body.type).toMatch(/\/not-authorized-for-resource$/)
    }
    expect((await reply(mention)).status).toBe(201)
    expect((await reply(own)).status).toBe(201)
  })

  it('403 to a reply to a tweet that is deleted or not visible', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const hidden = sandbox.control.postAs('quietgarden', 'for @maraholt only')
    const detail = 'You attempted to reply to a Tweet that is deleted or not visible to you.'
    for (const id of ['1', hidden]) {
      const { body } = await post(sandbox, access, 'reply', { reply: { in_reply_to_tweet_id: id } })
      expect(body).toEqual(blank(403, 'Forbidden', detail))
    }
  })

  it('403 to a second cashtag', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    expect((await post(sandbox, access, '$ABC costs $5')).status).toBe(201)
    expect((await post(sandbox, access, '$ABC or $XYZ')).body.detail).toBe(NOT_PERMITTED)
  })

  it('403 to accounts that are suspended or locked', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox, 'lostlantern')
    expect((await post(sandbox, access, 'hello')).body.detail).toContain('suspended')
    sandbox.control.setAccount('lostlantern', { suspended: false, locked: true })
    expect((await post(sandbox, access, 'hello')).body.detail).toContain('temporarily locked')
  })

  it.each([
    ['an unknown field', { text: 'a', texts: 'b' }],
    ['an unknown field inside', { text: 'a', reply: { in_reply_to_tweet_id: '1', quote: true } }],
    ['no text', {}],
    ['an empty text', { text: ' \n ' }],
    ['a number for a text', { text: 5 }],
    ['null', null],
    ['a list', []],
    ['an id as a number', { text: 'a', reply: { in_reply_to_tweet_id: 5 } }],
    ['an unknown reply setting', { text: 'a', reply_settings: 'everybody' }],
    ['a poll with one option', { text: 'a', poll: { options: ['one'], duration_minutes: 60 } }],
    ['a poll of four minutes', { text: 'a', poll: { options: ['1', '2'], duration_minutes: 4 } }],
    ['five media', { media: { media_ids: ['1', '2', '3', '4', '5'] } }],
    [
      'poll and media together',
      { text: 'a', poll: { options: ['1', '2'], duration_minutes: 5 }, media: { media_ids: ['1'] } },
    ],
    ['a forbidden character', { text: 'a\uFFFFb' }],
    ['half a surrogate pair', { text: '\uD83D' }],
  ])('400 Invalid Request to %s', async (_title, body) => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const response = await call(sandbox, access, 'POST', '/2/tweets', body)
    expect(response.status).toBe(400)
    expect(response.body).toEqual({
      errors: [{ message: expect.any(String), parameters: {} }],
      title: 'Invalid Request',
      detail: 'One or more parameters to your request was invalid.',
      type: 'https://api.x.com/2/problems/invalid-request',
    })
    expect(response.headers.has('x-rate-limit-remaining')).toBe(true)
    expect(sandbox.control.tweets()).toEqual([])
  })

  it('400 to media that was never uploaded, and to a body that is not JSON', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const media = await call(sandbox, access, 'POST', '/2/tweets', { media: { media_ids: ['1'] } })
    expect(at(media.body, 'errors', 0, 'message')).toBe('Your media IDs are invalid.')
    const headers = { authorization: `Bearer ${access}` }
    const form = { method: 'POST', headers, body: new URLSearchParams({ text: 'a' }) }
    expect((await fetch(`${sandbox.url}/2/tweets`, form)).status).toBe(400)
    const broken = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: '{"text":' }
    expect((await fetch(`${sandbox.url}/2/tweets`, broken)).status).toBe(400)
  })

  it('429 after 100 posts in 15 minutes, until the window ends', async () => {
    const sandbox = await openSandbox()
    sandbox.control.freezeClock(true)
    const { access } = await connectAccount(sandbox)
    for (let count = 1; count <= 100; count += 1)
      expect((await post(sandbox, access, `post ${count}`)).status).toBe(201)
    const { status, body, headers } = await post(sandbox, access, 'one too many')
    expect([status, body]).toEqual([429, blank(429, 'Too Many Requests', 'Too Many Requests')])
    expect([headers.get('x-rate-limit-limit'), headers.get('x-rate-limit-remaining')]).toEqual(['100', '0'])
    const resetAt = Number(headers.get('x-rate-limit-reset'))
    expect(resetAt).toBe(Math.ceil(sandbox.control.now() / 1000) + 900)
    sandbox.control.advance(899)
    expect((await post(sandbox, access, 'still one too many')).status).toBe(429)
    sandbox.control.advance(1)
    expect((await post(sandbox, access, 'one too many')).status).toBe(201)
    expect((await post(sandbox, (await connectAccount(sandbox, 'tomasz_k')).access, 'another person')).status).toBe(201)
  })
})
