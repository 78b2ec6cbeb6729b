// Web pages of others cannot use the forms of the sandbox, which listens on the machine of its user.
import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { openSandbox } from './client.ts'

/** Sends the form that revokes the grants of an account, with these headers, and returns the status. */
function sendForm(url: string, headers: Record<string, string>, path = '/settings/connected_apps'): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const body = 'account=maraholt'
  const sent = request(
    new URL(path, url),
    { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers } },
    (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    },
  )
  sent.once('error', reject)
  sent.end(body)
  return promise
}

describe('a form of the sandbox', () => {
  it.each<[string, (url: URL) => Record<string, string>, number]>([
    ['of a program', () => ({}), 303],
    ['of its own page', ({ origin }) => ({ origin }), 303],
    ['of its own page without a referrer', () => ({ origin: 'null', 'sec-fetch-site': 'same-origin' }), 303],
    ['by another name of this machine', ({ port }) => ({ host: `app.localhost:${port}` }), 303],
    ['of another site', () => ({ origin: 'https://evil.example' }), 403],
    ['of another site by Fetch Metadata', ({ origin }) => ({ origin, 'sec-fetch-site': 'cross-site' }), 403],
    ['of another port of this machine', () => ({ origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' }), 403],
    ['of a page without an origin', () => ({ origin: 'null' }), 403],
    ['of a program by another name', ({ port }) => ({ host: `x.internal:${port}` }), 303],
    [
      'of a page whose name was bound to this machine',
      ({ port }) => ({ host: `evil.example:${port}`, origin: `http://evil.example:${port}` }),
      403,
    ],
    [
      'of such a page with Fetch Metadata',
      ({ port }) => ({
        host: `evil.example:${port}`,
        origin: `http://evil.example:${port}`,
        'sec-fetch-site': 'same-origin',
      }),
      403,
    ],
  ])('%s has the status that it should', async (_what, headersOf, status) => {
    const sandbox = await openSandbox()
    expect(await sendForm(sandbox.url, headersOf(new URL(sandbox.url)))).toBe(status)
  })

  it('that is refused changes nothing and is not recorded', async () => {
    const sandbox = await openSandbox()
    const before = sandbox.control.received({}).length
    for (const path of ['/settings/connected_apps', '/login/oauth/authorize', '/2/oauth2/token'])
      expect(await sendForm(sandbox.url, { origin: 'https://evil.example' }, path)).toBe(403)
    expect(sandbox.control.received({})).toHaveLength(before)
  })
})
