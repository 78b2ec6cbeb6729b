// A front end beside the gateway in a real browser: the host name under which it is opened decides.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeInChromium } from '../support/chromium.ts'
import { signIn, useBrowser } from './visit.ts'

describeInChromium('a front end on another origin', () => {
  const frontEnd = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<h1>A front end</h1>')
  })
  const origin = (name: string) => `http://${name}:${(frontEnd.address() as AddressInfo).port}`
  beforeAll(async () => {
    // On IPv4 and IPv6: "localhost" may mean either.
    await new Promise<void>((resolve) => frontEnd.listen(0, resolve))
  })
  afterAll(async () => {
    frontEnd.closeAllConnections()
    await new Promise((resolve) => frontEnd.close(resolve))
  })
  const suite = useBrowser(() => ({
    ALLOWED_ORIGINS: [origin('127.0.0.1'), origin('localhost')].join(),
  }))

  test.each<[string, number, unknown]>([
    ['127.0.0.1', 200, { data: { viewer: { login: 'mara-holt' } } }],
    ['localhost', 401, { errors: [{ extensions: { code: 'CROSS_SITE_ORIGIN' } }] }],
  ])('opened at %s gets %i, although its user has signed in', async (name, status, body) => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'mara-holt')
    await page.goto(origin(name))
    // With the headers of tracing and Apollo Client, so that the browser sends a preflight.
    const seen = await page.evaluate(async (url) => {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        credentials: 'include',
        headers: {
          'content-type': 'application/json',
          traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
          baggage: 'a=b',
          'apollographql-client-name': 'front end',
        },
        body: JSON.stringify({ query: '{ viewer { login } }' }),
      })
      return { status: response.status, body: await response.json() }
    }, suite.world.url)
    expect(seen).toMatchObject({ status, body })
  })
})
