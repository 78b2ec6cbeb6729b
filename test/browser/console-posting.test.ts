import { eq } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { tweets as tweetRows } from '../../src/db/tables.ts'
import { describeInChromium } from '../support/chromium.ts'
import { connect, signIn, useBrowser } from './visit.ts'

describeInChromium('Posting in the console', () => {
  const suite = useBrowser()

  test('a tweet is composed, corrected and posted with the keyboard alone', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'Tomasz Kowal')
    await connect(page, 'Harbour Bakery')
    await page.getByText('@harbourbakery is connected.').waitFor()
    await page.reload()
    await page.getByRole('form', { name: 'New tweet' }).waitFor()

    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    const focused = () => page.evaluate(() => document.activeElement?.id)
    for (let presses = 0; (await focused()) !== 'text' && presses < 10; presses++) await page.keyboard.press('Tab')
    expect(await focused()).toBe('text')
    await page.keyboard.press('Control+Enter')
    await page.getByText('Enter a text.').waitFor()
    expect(await page.getByRole('textbox', { name: 'Text' }).getAttribute('aria-invalid')).toBe('true')
    expect(await focused()).toBe('text')
    await page.keyboard.type('Buns at seven')
    await page.keyboard.press('Control+Enter')
    await page.getByText('Posted as @harbourbakery').waitFor()
    expect(await focused()).toBe('text')

    await page.getByRole('button', { name: 'Disconnect' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    // The account list has been reloaded after the post, behind the dialog.
    await page.getByText('Last post').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Disconnect')
    expect(visit.complaints).toEqual([])
  })

  test('a draft survives the end of the session, and not a sign-out', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'Tomasz Kowal')
    await connect(page, 'Harbour Bakery')
    await page.getByText('@harbourbakery is connected.').waitFor()
    const field = page.getByRole('textbox', { name: 'Text' })
    await field.fill('Half of a thought')
    await page.context().clearCookies()
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page
      .getByText('Your session has ended. Sign in again to continue; your draft is kept.', { exact: true })
      .waitFor()
    // A reload without a session keeps it too.
    await page.reload()
    await signIn(page, suite.world, 'Tomasz Kowal')
    expect(await field.inputValue()).toBe('Half of a thought')
    await page.getByRole('button', { name: 'Sign out', exact: true }).first().click()
    await page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
    await signIn(page, suite.world, 'Tomasz Kowal')
    expect(await field.inputValue()).toBe('')
    await page.context().clearCookies()
    await page.getByRole('button', { name: 'Refresh' }).click()
    await page.getByText('Your session has ended. Sign in again to continue.', { exact: true }).waitFor()
  })

  test('posting again after a cut connection posts once', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'yuki-ito')
    await connect(page, 'The Quiet Garden')
    await page.getByText('@quietgarden is connected.').waitFor()
    // The gateway receives and executes the request; the browser gets no response.
    await page.route('**/graphql', async (route) => {
      await route.fetch()
      await route.abort('connectionreset')
    })
    await page.getByRole('textbox', { name: 'Text' }).fill('Once is enough')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Post again: it will not be posted twice').waitFor()

    await page.unroute('**/graphql')
    await page.reload()
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Posted as @quietgarden').waitFor()
    const timeline = await page.context().newPage()
    await timeline.goto(`${suite.world.sandbox.url}/quietgarden`)
    expect(await timeline.getByText('Once is enough').count()).toBe(1)
  })

  test('a tweet shows the time by which the list is ordered, also one that was posted later', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'yuki-ito')
    await connect(page, 'The Quiet Garden')
    await page.getByText('@quietgarden is connected.').waitFor()
    await page.getByRole('textbox', { name: 'Text' }).fill('Asked for early')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Posted as @quietgarden').waitFor()
    const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000)
    await suite.world
      .db()
      .update(tweetRows)
      .set({ createdAt: hoursAgo(5), postedAt: hoursAgo(2) })
      .where(eq(tweetRows.text, 'Asked for early'))
    await page.getByRole('button', { name: 'Refresh' }).click()
    await page.getByRole('listitem').filter({ hasText: 'Asked for early' }).getByText('5 hr. ago').waitFor()
  })

  test('a refusal by X is shown beside the text, and lost access beside the account', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'Mara Holt')
    await connect(page, 'Mara Holt')
    await page.getByText('@maraholt is connected.').waitFor()
    const field = page.getByRole('textbox', { name: 'Text' })
    for (const outcome of [
      'Posted as @maraholt',
      'X refuses the same text twice within a short time. Change the text.',
    ]) {
      await field.fill('Said before')
      await page.getByRole('button', { name: 'Post', exact: true }).click()
      await page.getByRole('form').getByText(outcome).waitFor()
    }
    await page.getByRole('listitem').filter({ hasText: 'Not posted' }).waitFor()

    const apps = await page.context().newPage()
    await apps.goto(`${suite.world.sandbox.url}/settings/connected_apps`)
    const access = apps.getByRole('listitem').filter({ hasText: '@maraholt' })
    await access.getByRole('button', { name: 'Revoke' }).click()
    // Chromium may never respond when a page is closed during a navigation.
    await access.waitFor({ state: 'detached' })
    await apps.close()
    await field.fill('Anybody there?')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Access lost').waitFor()
    const accounts = page.getByRole('region', { name: 'X accounts' })
    await accounts.getByRole('button', { name: 'Reconnect' }).click()
    await page.getByRole('radio', { name: 'Mara Holt' }).check()
    await page.getByRole('button', { name: 'Authorize app' }).click()
    await page.getByText('@maraholt is connected.').waitFor()
    // The draft from before the consent is still there.
    expect(await field.inputValue()).toBe('Anybody there?')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Posted as @maraholt').waitFor()
  })
})
