import { eq } from 'drizzle-orm'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectAttempts } from '../../src/db/tables.ts'
import { describeInChromium, launchChromium } from '../chromium.ts'
import { startWorld, type World } from '../harness.ts'
import { connect, openPage, signIn } from './visit.ts'

describeInChromium('A connection that is refused', () => {
  let world: World
  let browser: Browser
  beforeAll(async () => {
    world = await startWorld({ RATE_LIMITS: 'link=1/600' })
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser.close()
    await world.close()
  })

  test('says when the next try is worth while, beside the button that was pressed', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await signIn(page, world, 'Tomasz Kowal')
    await connect(page, 'Harbour Bakery')
    await page.getByText('@harbourbakery is connected.').waitFor()
    const button = page.getByRole('button', { name: 'Connect an X account' })
    await button.click()
    const sentence = /allows no more of these just now\. Try again after \d+ \w+ \d{4}, \d\d:\d\d\.$/
    const problem = page.getByRole('region', { name: 'X accounts' }).getByRole('alert')
    await problem.getByText(sentence).waitFor()
    expect(await button.getAttribute('aria-disabled')).toBeNull()
    expect(visit.complaints).toEqual([])
  })

  test('is explained with what the API says of the attempt', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await signIn(page, world, 'yuki-ito')
    await connect(page, 'Lost Lantern')
    const notice = page.locator('.notice')
    await notice.getByText('Nothing was connected.').waitFor()
    const [attempt] = await world.db().select().from(connectAttempts).where(eq(connectAttempts.status, 'FAILED'))
    const said = await page.evaluate(async (id) => {
      const response = await fetch('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: `{ connectAttempt(id: "${id}") { error { message retryAt } } }` }),
      })
      const { data } = await response.json()
      return data.connectAttempt.error.message
    }, attempt?.id)
    expect(await notice.locator('p').textContent()).toBe(`Nothing was connected. ${said}`)
  })
})
