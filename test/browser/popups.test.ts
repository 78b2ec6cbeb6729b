// A front end that signs users in and connects accounts in a popup: what it can see of the popup,
// and the popup of it.
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { describeInChromium } from '../support/chromium.ts'
import { type FrontEnd, startFrontEnd } from './front-end.ts'
import { useBrowser } from './visit.ts'

describeInChromium('A popup', () => {
  let frontEnd: FrontEnd
  let context: BrowserContext
  let page: Page
  beforeAll(async () => {
    frontEnd = await startFrontEnd()
    // The last page reports the outcome to its opener.
    frontEnd.addPage('/done', '<h1>Done</h1><script>opener.postMessage(location.search, location.origin)</script>')
    frontEnd.addPage(
      '/',
      `<h1>A front end</h1><script>
        var popup = null, told = []
        addEventListener('message', (event) => told.push(event.data))
        function start(url) { popup = open(url, 'trip', 'popup,width=500,height=600') }
      </script>`,
    )
  })
  afterAll(() => frontEnd[Symbol.asyncDispose]())
  const suite = useBrowser(() => ({ ALLOWED_ORIGINS: frontEnd.origin }))
  beforeEach(async () => {
    context = await suite.browser.newContext()
    page = await context.newPage()
    await page.goto(`${frontEnd.origin}/`)
  })
  afterEach(() => context.close())

  const starting = (path: string, origin = suite.world.url) =>
    `${origin}${path}?${new URLSearchParams({ returnTo: `${frontEnd.origin}/done` })}`

  async function openPopup(url: string): Promise<Page> {
    const [popup] = await Promise.all([
      context.waitForEvent('page'),
      page.evaluate((target) => (globalThis as unknown as { start(url: string): void }).start(target), url),
    ])
    return popup
  }
  const isClosed = () => page.evaluate('popup.closed')
  const told = () => page.evaluate('told')

  /** The popup visits the provider and returns, without losing its opener. */
  async function decide(popup: Page, choice: string, button: string, expected: string): Promise<void> {
    await popup.getByRole('button', { name: button }).waitFor()
    expect([await isClosed(), await popup.evaluate('opener !== null')]).toEqual([false, true])
    if (choice !== '') await popup.getByRole('radio', { name: choice }).check()
    await popup.getByRole('button', { name: button }).click()
    await expectDone(popup, expected)
  }

  async function expectDone(popup: Page, expected: string): Promise<void> {
    await popup.getByRole('heading', { name: 'Done' }).waitFor()
    await expect.poll(told, { timeout: 20_000 }).toEqual([expect.stringContaining(expected)])
    expect([await isClosed(), await popup.evaluate('opener.location.pathname')]).toEqual([false, '/'])
    await popup.close()
    await expect.poll(isClosed, { timeout: 20_000 }).toBe(true)
  }

  test('for signing in and connecting keeps its opener, and is closed only by it', async () => {
    await decide(await openPopup(starting('/auth/github')), 'Mara Holt', 'Authorize', '?signIn=succeeded')
    await page.reload()
    await decide(await openPopup(starting('/auth/x')), 'Mara Holt', 'Authorize app', '?xConnect=connected&attempt=')
  })

  test('that is cancelled tells its opener', async () => {
    await decide(await openPopup(starting('/auth/github')), '', 'Cancel', '?signIn=failed&code=ACCESS_DENIED')
  })

  test('whose start is refused tells its opener', async () => {
    await expectDone(await openPopup(starting('/auth/x')), '?xConnect=failed&code=UNAUTHENTICATED')
  })

  test('that starts under another name of this machine keeps its opener too', async () => {
    const other = suite.world.url.replace('127.0.0.1', 'localhost')
    await decide(await openPopup(starting('/auth/github', other)), 'Mara Holt', 'Authorize', '?signIn=succeeded')
  })

  test('with the console in it is out of the front end’s reach', async () => {
    const popup = await openPopup(`${suite.world.url}/`)
    await popup.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
    expect([await isClosed(), await popup.evaluate('opener')]).toEqual([true, null])
  })
})
