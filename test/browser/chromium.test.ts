import { createServer } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeInChromium, findChromium, launchChromium, planBrowserTests } from '../support/chromium.ts'

test('CHROMIUM_PATH wins over the usual places', () => {
  expect(findChromium({ CHROMIUM_PATH: process.execPath })).toBe(process.execPath)
})

test('an unusable CHROMIUM_PATH is an error, and does not skip the tests', () => {
  expect(() => findChromium({ CHROMIUM_PATH: '/nonexistent/chromium' })).toThrow(
    'CHROMIUM_PATH is /nonexistent/chromium',
  )
})

test('a missing Chromium skips the browser tests, and fails them with CI=true', () => {
  expect(planBrowserTests(null, {})).toBe('skip')
  expect(planBrowserTests(null, { CI: 'true' })).toBe('fail')
  expect(planBrowserTests(process.execPath, { CI: 'true' })).toBe('run')
})

describeInChromium('Chromium', () => {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<h1>Hello</h1>')
  })
  beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
  afterAll(() => new Promise((resolve) => server.close(resolve)))

  test('opens a page of this machine, and no other host', async () => {
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('Bug: a TCP server has no port.')
    await using browser = await launchChromium()
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${address.port}/`)
    expect(await page.getByRole('heading').textContent()).toBe('Hello')
    await page.goto(`http://localhost:${address.port}/`)
    await expect(page.goto('http://example.com/')).rejects.toThrow('ERR_NAME_NOT_RESOLVED')
  })
})
