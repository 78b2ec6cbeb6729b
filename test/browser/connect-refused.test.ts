import { eq } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { connectAttempts, connectedAccounts } from '../../src/db/tables.ts'
import { describeInChromium } from '../support/chromium.ts'
import { sweepNow } from '../support/sweep.ts'
import { connect, signIn, useBrowser } from './visit.ts'

describeInChromium('A refused connect', () => {
  const suite = useBrowser({ RATE_LIMITS: 'connect=1/600' })

  test('says when to try again, beside the button', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'Tomasz Kowal')
    await connect(page, 'Harbour Bakery')
    await page.getByText('@harbourbakery is connected.').waitFor()
    const button = page.getByRole('button', { name: 'Connect an X account' })
    await button.click()
    const sentence = /reached a rate limit of this gateway\. Try again after \d+ \w+ \d{4}, \d\d:\d\d\.$/
    const problem = page.getByRole('region', { name: 'X accounts' }).getByRole('alert')
    await problem.getByText(sentence).waitFor()
    expect(await button.getAttribute('aria-disabled')).toBeNull()
    expect(visit.complaints).toEqual([])
  })

  test('is explained with the error of its attempt', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'yuki-ito')
    await connect(page, 'Lost Lantern')
    const notice = page.locator('.notice')
    await notice.getByText('Nothing was connected.').waitFor()
    const [attempt] = await suite.world.db().select().from(connectAttempts).where(eq(connectAttempts.status, 'FAILED'))
    const said = await page.evaluate(async (id) => {
      const response = await fetch('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ query: `{ connectAttempt(connectAttemptId: "${id}") { error { message retryAt } } }` }),
      })
      const { data } = await response.json()
      return data.connectAttempt.error.message
    }, attempt?.id)
    expect(await notice.locator('p').textContent()).toBe(`Nothing was connected. ${said}`)
  })
})

describeInChromium('A connect that waits for X', () => {
  const suite = useBrowser()

  test('is shown as waiting and not as failed, with reason and time, and as connected once X has named the account', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'Tomasz Kowal')
    suite.world.sandbox.control.inject({
      kind: 'problem',
      name: 'too-many-requests',
      times: null,
      match: { path: '/2/users/me' },
    })
    await connect(page, 'Harbour Bakery')
    const notice = page.locator('.notice')
    await notice
      .getByText(
        'You authorized the gateway at X, but it could not read the account yet: this gateway has reached a rate limit of X.',
      )
      .waitFor()
    const text = await notice.locator('p').textContent()
    expect(text).toMatch(
      /The gateway retries automatically, next after \d+ \w+ \d{4}, \d\d:\d\d\. You do not have to connect the account again\.$/,
    )
    // Nothing is lost, and the user need not act.
    expect(text).not.toMatch(/Nothing was connected|Try again/)
    expect(await notice.evaluate((element) => [...element.classList])).toContain('neutral')
    expect(new URL(page.url()).search).toBe('')
    suite.world.sandbox.control.clearFaults()
    suite.world.advance(901)
    await sweepNow(suite.world)
    await expect.poll(() => suite.world.db().$count(connectedAccounts), { timeout: 20_000 }).toBe(1)
    await page.reload()
    await page.getByText('@harbourbakery').first().waitFor()
    expect(await notice.count()).toBe(0)
    expect(visit.complaints).toEqual([])
  })
})
