// Behind a proxy that rewrites Host, the gateway cannot know the host name that the browser used.
import { describe, expect, test } from 'vitest'
import { type Browser, isSignedIn, openBrowser } from '../../support/browser.ts'
import { startWorld } from '../../support/harness.ts'
import { type HostProxy, startHostProxy } from '../../support/host-proxy.ts'

type Ports = { proxy: number; gateway: number }

/**
 * Follows redirects as a browser does that opens this page.
 * @returns the requested URLs, and the last status.
 */
async function openAddress(browser: Browser, address: string): Promise<{ visited: string[]; status: number }> {
  const visited: string[] = []
  for (let next = address; visited.length < 20; ) {
    visited.push(next)
    const response = await browser.request(next, { headers: { accept: 'text/html', 'sec-fetch-site': 'none' } })
    const location = response.headers.get('location')
    if (location === null) return { visited, status: response.status }
    next = new URL(location, next).href
    // The user continues on the provider's page.
    if (new URL(next).origin !== new URL(address).origin) return { visited, status: response.status }
  }
  return { visited, status: 0 }
}

async function startBehind(proxy: HostProxy, publicHost: string, host: (ports: Ports) => string | null) {
  const publicUrl = `http://${publicHost}:${proxy.port}`
  const world = await startWorld({ PUBLIC_URL: publicUrl })
  const gateway = Number(new URL(world.url).port)
  proxy.passTo(gateway, host({ proxy: proxy.port, gateway }))
  return { world, publicUrl }
}

describe('no page redirects to itself', () => {
  test.each<[name: string, publicHost: string, host: (ports: Ports) => string | null, extra: number]>([
    ['that keeps Host', '127.0.0.1', () => null, 0],
    ['that sends localhost, as nginx does', '127.0.0.1', ({ gateway }) => `localhost:${gateway}`, 0],
    ['that sends 127.0.0.1, as Vite does', 'localhost', ({ gateway }) => `127.0.0.1:${gateway}`, 0],
    ['that sends another loopback address', '127.0.0.1', ({ gateway }) => `127.0.0.2:${gateway}`, 0],
    ['that sends [::1]', '127.0.0.1', ({ gateway }) => `[::1]:${gateway}`, 0],
    ['that sends localhost without a port', '127.0.0.1', () => 'localhost', 0],
    // A proxy on another machine may use the same port. Only the second request shows it.
    ['that sends localhost and the port of PUBLIC_URL', '127.0.0.1', ({ proxy }) => `localhost:${proxy}`, 1],
  ])('behind a proxy %s', async (_name, publicHost, host, extra) => {
    await using proxy = await startHostProxy()
    const { world, publicUrl } = await startBehind(proxy, publicHost, host)
    const browser = openBrowser(publicUrl)
    for (const [path, status] of [
      ['/', 200],
      ['/?tab=x', 200],
      ['/graphql', 200],
      ['/nowhere', 404],
      ['/auth/github?returnTo=/', 303],
    ] as const) {
      // More than one visit.
      for (let visit = 0; visit < 3; visit++) {
        const seen = await openAddress(browser, `${publicUrl}${path}`)
        expect(seen, path).toEqual({ visited: Array(1 + extra).fill(`${publicUrl}${path}`), status })
      }
    }
    // Users sign in and connect through the proxy.
    expect(await browser.signIn('mara-holt')).toMatchObject({ outcome: 'succeeded' })
    expect(await isSignedIn(browser)).toBe(true)
    expect(await browser.connect('maraholt')).toMatchObject({ outcome: 'connected' })
    await browser.close()
    await world.close()
  })
})

test('a page at another name of this machine redirects to the configured one, an asset does not', async () => {
  const world = await startWorld()
  const other = `http://localhost:${new URL(world.url).port}`
  const browser = openBrowser(other)
  const visit = (path: string) =>
    browser.request(`${other}${path}`, { headers: { accept: 'text/html', 'sec-fetch-site': 'none' } })
  for (const path of ['/', '/graphql', '/nowhere?x=1', '/auth/github?returnTo=/settings', '/auth/x']) {
    const response = await visit(path)
    expect([response.status, response.headers.get('location')]).toEqual([302, `${world.url}${path}`])
    // The cookie that prevents a second redirect expires before the next visit.
    const [cookie = ''] = response.headers.getSetCookie()
    expect(Number(/Max-Age=(\d+)/.exec(cookie)?.[1])).toBeLessThanOrEqual(3)
    browser.cookies.clear()
  }
  const page = await (await world.browser().request('/')).text()
  const file = await visit(/src="(\/assets\/[^"]+)"/.exec(page)?.[1] ?? '')
  expect([file.status, file.headers.getSetCookie()]).toEqual([200, []])
  await browser.close()
  await world.close()
})
