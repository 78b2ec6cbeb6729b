// One user with several tabs and the Back button: the callbacks that Chromium really sends.
import type { BrowserContext, Page } from 'playwright-core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { connectedAccounts, sessions } from '../../src/db/tables.ts'
import { describeInChromium } from '../support/chromium.ts'
import { connect, useBrowser } from './visit.ts'

describeInChromium('A user with several tabs', () => {
  const suite = useBrowser()
  let context: BrowserContext
  beforeEach(async () => {
    context = await suite.browser.newContext()
  })
  afterEach(() => context.close())

  /** Opens a tab at GitHub's consent page. */
  async function openTab(): Promise<Page> {
    const tab = await context.newPage()
    await tab.goto(suite.world.url)
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

  const countExchanges = (path: string) => suite.world.sandbox.control.countReceived({ method: 'POST', path })

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

  test('stays signed in and sees no failure after Back to GitHub and another approval', async () => {
    const [first, second] = [await openTab(), await openTab()]
    await approve(first)
    await approve(second)
    const [rows, exchanges] = [await suite.world.db().$count(sessions), countExchanges('/login/oauth/access_token')]
    await second.goBack()
    await second.getByRole('radio', { name: 'Mara Holt' }).check()
    // The same state with another code.
    await approve(second)
    await second.goBack()
    await second.goForward()
    await expectSignedIn(second)
    await first.reload()
    await expectSignedIn(first)
    expect([await suite.world.db().$count(sessions), countExchanges('/login/oauth/access_token')]).toEqual([
      rows,
      exchanges,
    ])
  })

  test('sees again that an account is connected after Back to X and another approval', async () => {
    const tab = await openTab()
    await approve(tab)
    await connect(tab, 'Mara Holt')
    await tab.getByText('@maraholt is connected.').waitFor()
    const [rows, exchanges] = [await suite.world.db().$count(connectedAccounts), countExchanges('/2/oauth2/token')]
    await tab.goBack()
    await tab.getByRole('radio', { name: 'Mara Holt' }).check()
    await tab.getByRole('button', { name: 'Authorize app' }).click()
    await tab.getByText('@maraholt is connected.').waitFor()
    expect([await suite.world.db().$count(connectedAccounts), countExchanges('/2/oauth2/token')]).toEqual([
      rows,
      exchanges,
    ])
  })
})
