// One person, several tabs, and the Back button: what Chromium really does with the callbacks of sign-ins and connections.
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { connectedAccounts, sessions } from '../../src/db/tables.ts'
import { describeInChromium, launchChromium } from '../support/chromium.ts'
import { startWorld, type World } from '../support/harness.ts'
import { connect } from './visit.ts'

describeInChromium('A person with several tabs', () => {
  let world: World
  let browser: Browser
  let context: BrowserContext
  beforeAll(async () => {
    world = await startWorld()
    browser = await launchChromium()
  })
  beforeEach(async () => {
    context = await browser.newContext()
  })
  afterEach(() => context.close())
  afterAll(async () => {
    await browser.close()
    await world.close()
  })

  /** A tab that has come to GitHub's consent page. */
  async function openTab(): Promise<Page> {
    const tab = await context.newPage()
    await tab.goto(world.url)
    await tab.getByRole('link', { name: 'Sign in with GitHub' }).click()
    await tab.getByRole('radio', { name: 'Mara Holt' }).check()
    return tab
  }

  async function approve(tab: Page): Promise<void> {
    await tab.getByRole('button', { name: 'Authorize' }).click()
    await expectSignedIn(tab)
  }

  async function expectSignedIn(tab: Page): Promise<void> {
    await tab.getByRole('heading', { name: 'X accounts' }).waitFor()
    expect(await tab.getByText('Signing in did not work').count()).toBe(0)
  }

  const countExchanges = (path: string) => world.sandbox.control.countReceived({ method: 'POST', path })

  test.each([
    ['in the order in which they began', [0, 1]],
    ['in the other order', [1, 0]],
  ])('is signed in in each, %s', async (_order, order) => {
    const tabs = [await openTab(), await openTab()]
    for (const index of order) await approve(tabs[index] as Page)
    for (const tab of tabs) {
      await tab.reload()
      await expectSignedIn(tab)
    }
  })

  test('stays signed in, and is told of no failure, by Back to GitHub and there once more', async () => {
    const [first, second] = [await openTab(), await openTab()]
    await approve(first)
    await approve(second)
    const [rows, exchanges] = [await world.db().$count(sessions), countExchanges('/login/oauth/access_token')]
    await second.goBack()
    await second.getByRole('radio', { name: 'Mara Holt' }).check()
    // The same state with another code.
    await approve(second)
    await second.goBack()
    await second.goForward()
    await expectSignedIn(second)
    await first.reload()
    await expectSignedIn(first)
    expect([await world.db().$count(sessions), countExchanges('/login/oauth/access_token')]).toEqual([rows, exchanges])
  })

  test('is told once more that an account is connected, by Back to X and there once more', async () => {
    const tab = await openTab()
    await approve(tab)
    await connect(tab, 'Mara Holt')
    await tab.getByText('@maraholt is connected.').waitFor()
    const [rows, exchanges] = [await world.db().$count(connectedAccounts), countExchanges('/2/oauth2/token')]
    await tab.goBack()
    await tab.getByRole('radio', { name: 'Mara Holt' }).check()
    await tab.getByRole('button', { name: 'Authorize app' }).click()
    await tab.getByText('@maraholt is connected.').waitFor()
    expect([await world.db().$count(connectedAccounts), countExchanges('/2/oauth2/token')]).toEqual([rows, exchanges])
  })
})
