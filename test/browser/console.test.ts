import { expect, test } from 'vitest'
import { describeInChromium } from '../support/chromium.ts'
import { connect, signIn, useBrowser } from './visit.ts'

describeInChromium('The console', () => {
  const suite = useBrowser()

  test('a user signs in, connects X, posts, sees the tweet at X, deletes it, disconnects and signs out', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await page.goto(suite.world.url)
    await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
    expect(new URL(page.url()).origin).toBe(suite.world.sandbox.url)
    await page.getByRole('radio', { name: 'Mara Holt' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.getByText('No X accounts yet').waitFor()
    expect(page.url()).toBe(`${suite.world.url}/`)

    await connect(page, 'Mara Holt')
    await page.getByText('@maraholt is connected.').waitFor()
    expect(page.url()).toBe(`${suite.world.url}/`)
    const account = page.getByRole('region', { name: 'X accounts' }).getByRole('listitem')
    expect(await account.textContent()).toMatch(/Mara Holt.*@maraholt.*Active/s)
    await account.locator('img').waitFor()

    const field = page.getByRole('textbox', { name: 'Text' })
    await field.fill('Hello from Chromium, see https://example.com/a/long/address/that/counts/twenty-three')
    expect(await page.locator('#count').textContent()).toBe('48 / 280')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Posted as @maraholt').waitFor()
    expect(await field.inputValue()).toBe('')
    const tweet = page.getByRole('region', { name: 'Recent tweets' }).getByRole('listitem')
    expect(await tweet.textContent()).toMatch(/@maraholt.*Posted.*Hello from Chromium/s)

    const opened = page.context().waitForEvent('page')
    await tweet.getByRole('link', { name: 'View on X' }).click()
    const status = await opened
    await status.getByText('Hello from Chromium').waitFor()
    await status.close()
    const timeline = await page.context().newPage()
    await timeline.goto(`${suite.world.sandbox.url}/maraholt`)
    await timeline.getByText('Hello from Chromium').waitFor()

    // Chromium slows pages in the background down.
    await page.bringToFront()
    await tweet.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await tweet.getByText('Deleted').waitFor()
    await timeline.reload()
    await timeline.getByText('Nothing posted yet').waitFor()
    await timeline.close()

    await field.fill('Stays at X')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    const kept = tweet.filter({ hasText: 'Stays at X' })
    await kept.getByRole('button', { name: 'Delete' }).waitFor()

    await account.getByRole('button', { name: 'Disconnect' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    expect(await account.count()).toBe(1)
    await account.getByRole('button', { name: 'Disconnect' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click()
    await page.getByText('No X accounts yet').waitFor()
    expect(await page.getByRole('form', { name: 'New tweet' }).isVisible()).toBe(false)
    // No account is left to delete it with.
    await kept.getByRole('button', { name: 'Delete' }).waitFor({ state: 'hidden' })
    expect(await kept.getByRole('link', { name: 'View on X' }).isVisible()).toBe(true)

    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
    expect(visit.complaints).toEqual([])
    expect(visit.foreignRequests).toEqual([])
  })

  test('a cancelled consent is reported once, not as a failure, and connects nothing', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await page.goto(suite.world.url)
    await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    const notice = page.locator('.notice')
    await notice.getByText('Signing in was cancelled.', { exact: true }).waitFor()
    expect(await notice.getAttribute('class')).toBe('notice neutral')

    await signIn(page, suite.world, 'Tomasz Kowal')
    await page.getByRole('button', { name: 'Connect an X account' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await notice.getByText('Connecting was cancelled. Nothing was connected.', { exact: true }).waitFor()
    expect(await notice.getAttribute('class')).toBe('notice neutral')
    expect(page.url()).toBe(`${suite.world.url}/`)
    await page.reload()
    await page.getByText('No X accounts yet').waitFor()
    expect(await page.getByText('Nothing was connected').count()).toBe(0)
    expect(visit.complaints).toEqual([])
  })

  test('on a phone no button breaks a word, badges stand beside names, and nothing overflows', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await page.setViewportSize({ width: 390, height: 844 })
    await signIn(page, suite.world, 'Tomasz Kowal')
    await connect(page, 'Harbour Bakery')
    await page.getByText('@harbourbakery is connected.').waitFor()
    const boxOf = async (selector: string) => {
      const box = await page.locator(selector).boundingBox()
      if (box === null) throw new Error(`${selector} is not to be seen`)
      return { ...box, middle: box.y + box.height / 2, right: box.x + box.width }
    }
    const placeBadge = async () => {
      const [account, who, badge] = [await boxOf('.account'), await boxOf('.who'), await boxOf('.account .badge')]
      if (badge.y >= who.y + who.height) return 'below'
      return Math.abs(badge.middle - who.middle) < 1 && Math.abs(badge.right - account.right) < 1
        ? 'beside'
        : 'elsewhere'
    }
    const widthOfAll = () => page.evaluate(() => document.documentElement.scrollWidth)
    const write = (selector: string, text: string) =>
      page.locator(selector).evaluate((element, words) => {
        element.textContent = words
      }, text)
    expect(await placeBadge()).toBe('beside')
    // As high as one line.
    const { height } = await boxOf('.notice button')
    await write('.notice p', 'A notice that takes more than one line on a phone, as that of a refusal by X does.')
    expect((await boxOf('.notice button')).height).toBe(height)
    expect((await boxOf('.notice')).height).toBeGreaterThan(2 * height)
    // Names at X have up to 50 characters.
    await write('.account .name', 'W'.repeat(50))
    expect([await placeBadge(), await widthOfAll()]).toEqual(['below', 390])
  })

  test('says when the gateway does not respond, and continues when it does', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await page.route('**/graphql', (route) => route.abort('connectionrefused'))
    await page.goto(suite.world.url)
    await page.getByRole('heading', { name: 'The gateway does not respond' }).waitFor()
    await page.unroute('**/graphql')
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
  })
})
