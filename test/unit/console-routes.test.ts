import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { consoleRoutes } from '../../src/console/routes.ts'
import { listOperations } from '../support/operations.ts'

const x = { url: 'https://x.com' }
const permissions = [
  { scope: 'tweets:read', words: 'Read tweets' },
  { scope: 'tweets:write', words: 'Post and delete tweets' },
]
const app = consoleRoutes({ config: { graphiql: true, sandbox: null, x } }, permissions)
const html = { headers: { accept: 'text/html,application/xhtml+xml' } }

async function readPage(path: string): Promise<string> {
  const response = await app.request(path, html)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toContain('text/html')
  return response.text()
}

const listAssets = (page: string) =>
  [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path = '']) => path)

describe.each(['/', '/graphql'])('the page %s', (path) => {
  test('links only to assets that the gateway serves, each with its content type and cacheable for ever', async () => {
    const page = await readPage(path)
    const assets = listAssets(page)
    expect(assets.length).toBeGreaterThan(4)
    for (const asset of assets) {
      const { status, headers } = await app.request(asset)
      expect([asset, status]).toEqual([asset, 200])
      const type = asset.endsWith('.js') ? 'text/javascript' : asset.endsWith('.css') ? 'text/css' : 'image/svg+xml'
      expect(headers.get('content-type')).toContain(type)
      expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    }
  })

  test('has no inline script or style, and no URL of another origin', async () => {
    const page = await readPage(path)
    expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:|%\w+%/)
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|["'(]\/\//)
    expect(page).toContain('<noscript>')
    expect(page).toMatch(/<title>.+<\/title>/)
  })
})

test('every module that the page imports is served as JavaScript', async () => {
  const [entry = ''] = listAssets(await readPage('/')).filter((path) => path.endsWith('/console.js'))
  const seen = new Set<string>()
  const visit = async (path: string): Promise<void> => {
    if (seen.has(path)) return
    seen.add(path)
    const response = await app.request(path)
    expect([path, response.status]).toEqual([path, 200])
    const source = await response.text()
    expect(source).not.toMatch(/\.ts['"]|^\s*(?:type|interface) \w+ =/m)
    for (const [, specifier = ''] of source.matchAll(/^(?:import|export|\}).*['"](\.[^'"]+)['"]/gm))
      await visit(new URL(specifier, `http://gateway${path}`).pathname)
  }
  await visit(entry)
  expect([...seen].map((path) => path.replace(/^\/assets\/[^/]+\//, ''))).toEqual(
    expect.arrayContaining(['tweets/text/length.js', 'tweets/text/data.js', 'error-codes.js', 'console/operations.js']),
  )
})

test('the page’s operations are the published ones', async () => {
  const path = listAssets(await readPage('/')).find((path) => path.endsWith('/operations.js')) ?? ''
  const source = await (await app.request(path)).text()
  const { operations }: { operations: Record<string, string> } = await import(
    `data:text/javascript,${encodeURIComponent(source)}`
  )
  expect(Object.values(operations).toSorted()).toEqual(
    listOperations()
      .map(({ document }) => document)
      .toSorted(),
  )
  expect(operations.PostTweet).toContain('mutation PostTweet')
})

test('an asset is sent once and then revalidated by its ETag, and a page of another version still gets it', async () => {
  const path = listAssets(await readPage('/')).find((path) => path.endsWith('.css')) ?? ''
  const etag = (await app.request(path)).headers.get('etag') ?? ''
  const again = await app.request(path, { headers: { 'if-none-match': etag } })
  expect([again.status, await again.text()]).toEqual([304, ''])
  const older = await app.request(path.replace(/^\/assets\/[^/]+/, '/assets/older'))
  expect([older.status, older.headers.get('cache-control')]).toEqual([200, 'no-cache'])
})

describe('G-16 an asset is compressed once, before the first request', () => {
  const gzip = { 'accept-encoding': 'gzip, deflate, br' }
  const listAll = async () => [...listAssets(await readPage('/')), ...listAssets(await readPage('/graphql'))]

  test('so that its compressed bytes are complete, smaller, and have an ETag and a length of their own', async () => {
    for (const path of await listAll()) {
      const [plain, packed] = await Promise.all([app.request(path), app.request(path, { headers: gzip })])
      const [body, bytes] = await Promise.all([plain.bytes(), packed.bytes()])
      expect([path, packed.headers.get('content-encoding')]).toEqual([path, 'gzip'])
      expect(gunzipSync(bytes).equals(body)).toBe(true)
      expect(bytes.length).toBeLessThan(body.length)
      for (const [{ headers }, length] of [
        [plain, body.length],
        [packed, bytes.length],
      ] as const) {
        expect(headers.get('vary')).toBe('Accept-Encoding')
        expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
        expect(headers.get('content-length')).toBe(String(length))
      }
      expect(packed.headers.get('etag')).toMatch(/^"[\w-]+"$/)
      expect(packed.headers.get('etag')).not.toBe(plain.headers.get('etag'))
    }
  })

  test('so that each ETag revalidates the bytes that it belongs to', async () => {
    const [path = ''] = await listAll()
    const etagOf = async (headers: Record<string, string>) => (await app.request(path, { headers })).headers.get('etag')
    const [plain, packed] = [(await etagOf({})) ?? '', (await etagOf(gzip)) ?? '']
    const statusOf = async (headers: Record<string, string>) => (await app.request(path, { headers })).status
    expect(await statusOf({ ...gzip, 'if-none-match': packed })).toBe(304)
    expect(await statusOf({ ...gzip, 'if-none-match': `"other", W/${packed}` })).toBe(304)
    expect(await statusOf({ ...gzip, 'if-none-match': plain })).toBe(200)
    expect(await statusOf({ 'if-none-match': packed })).toBe(200)
  })

  test.each([
    ['gzip;q=0', null],
    ['identity', null],
    ['br', null],
    ['identity;q=0.5, gzip;q=0.9', 'gzip'],
    ['GZIP', 'gzip'],
  ])('so that a client which sends Accept-Encoding: %s gets the encoding %s', async (accepted, encoding) => {
    const [path = ''] = await listAll()
    const { headers } = await app.request(path, { headers: { 'accept-encoding': accepted } })
    expect(headers.get('content-encoding')).toBe(encoding)
  })

  test('so that fifty requests of the largest one take less CPU than compressing it five times', async () => {
    const path = (await listAll()).find((path) => path.endsWith('/graphiql.min.js')) ?? ''
    const body = await (await app.request(path)).bytes()
    const measure = async (count: number, work: () => unknown) => {
      const before = process.cpuUsage()
      for (let index = 0; index < count; index++) await work()
      return process.cpuUsage(before).user
    }
    const compressing = await measure(5, () => gzipSync(body))
    expect(await measure(50, () => app.request(path, { headers: gzip }))).toBeLessThan(compressing)
  })
})

test.each([
  '/assets/x/../package.json',
  '/assets/x/..%2f..%2fpackage.json',
  '/assets/x/%2e%2e/%2e%2e/package.json',
  '/assets/x/console/routes.ts',
  '/assets/x/console/routes.js',
  '/assets/x/console/page/index.html',
  '/assets/x/console/page/tsconfig.json',
  '/assets/x/__proto__',
  '/assets/x/',
  '/assets/x',
  '/assets/',
])('%s is not an asset', async (path) => {
  expect((await app.request(path)).status).toBe(404)
})

test('a program that sends GET /graphql gets the refusal of the API’s route', async () => {
  expect((await app.request('/graphql')).status).toBe(404)
})

test('the form for an API token offers each scope, in the words that it is given', async () => {
  const boxes = [...(await readPage('/')).matchAll(/<input type="checkbox" name="scope" value="(.+?)">(.+?)<\/label>/g)]
  expect(boxes.map(([, scope, words]) => ({ scope, words }))).toEqual(permissions)
})

test('with GraphiQL switched off there is no page and no link to it', async () => {
  const off = consoleRoutes({ config: { graphiql: false, sandbox: null, x } }, permissions)
  expect((await off.request('/graphql', html)).status).toBe(404)
  const page = await (await off.request('/')).text()
  expect(page).toMatch(/<a href="\/graphql" hidden>/)
  const libraries = ['graphiql/graphiql.min.js', 'react/react.production.min.js']
  for (const name of libraries) expect((await off.request(`/assets/x/${name}`)).status).toBe(404)
  for (const name of libraries) expect((await app.request(`/assets/x/${name}`)).status).toBe(200)
})

test('a browser gets a page for an unknown path, and a program does not', async () => {
  for (const path of ['/nothing/here', '/assets/old/nothing.js']) {
    const response = await app.request(path, html)
    expect([response.status, response.headers.get('content-type')]).toEqual([404, 'text/html; charset=UTF-8'])
    const page = await response.text()
    expect(page).toContain('Page not found')
    expect(page).not.toMatch(/<script|<style|\sstyle=|%\w+%|https?:/)
    for (const asset of listAssets(page)) expect([asset, (await app.request(asset)).status]).toEqual([asset, 200])
    for (const accept of ['*/*', 'application/json', 'text/javascript, */*'])
      expect(await (await app.request(path, { headers: { accept } })).text()).not.toContain('<html')
  }
})

test('every page shows that the sandbox is on, with a link to it', async () => {
  const config = { graphiql: true, sandbox: { port: 3001, followsPort: true }, x: { url: 'http://localhost:3001' } }
  const sandboxed = consoleRoutes({ config }, permissions)
  for (const path of ['/', '/graphql', '/nothing/here']) {
    const ribbon = /<aside class="ribbon".*Sandbox.*<a href="http:\/\/localhost:3001\/">/
    expect(await (await sandboxed.request(path, html)).text()).toMatch(ribbon)
    expect(await (await app.request(path, html)).text()).not.toMatch(/sandbox/i)
  }
})
