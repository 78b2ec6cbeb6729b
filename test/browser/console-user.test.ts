import { eq, sql } from 'drizzle-orm'
import { expect, test, vi } from 'vitest'
import { sessions as sessionRows, users } from '../../src/db/tables.ts'
import { describeInChromium } from '../support/chromium.ts'
import { connect, signIn, useBrowser } from './visit.ts'

describeInChromium('The console for its user', () => {
  const suite = useBrowser()

  test('a user creates an API token, sees it once, uses it, revokes it, and shows their accounts', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await page.goto(suite.world.url)
    await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
    await page.getByRole('radio', { name: 'yuki-ito' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    const programs = page.getByRole('region', { name: 'API tokens' })
    await programs.getByRole('button', { name: 'New API token' }).click()
    await programs.getByRole('button', { name: 'Create token' }).click()
    await programs.getByText('Name the API token').waitFor()
    await programs.getByRole('textbox', { name: 'Name' }).fill('Release bot')
    await programs.getByRole('button', { name: 'Create token' }).click()
    await programs.getByText('Select at least one permission.').waitFor()
    await programs.getByRole('checkbox', { name: 'Read X accounts' }).check()
    await programs.getByRole('textbox', { name: 'Name' }).press('Enter')
    const secret = await programs.getByRole('textbox', { name: 'Your new API token' }).inputValue()
    expect(secret).toMatch(/^xcg_[0-9A-Za-z]{55}$/)
    const token = programs.getByRole('listitem')
    expect(await token.textContent()).toMatch(/Release bot.*Active.*Read X accounts.*Never used, expires/s)
    const use = () =>
      fetch(`${suite.world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
        body: '{"query":"{ viewer { login } connectedAccounts { id } }"}',
      })
    expect(await (await use()).json()).toEqual({ data: { viewer: { login: 'yuki-ito' }, connectedAccounts: [] } })

    // A reload would abort the pending request.
    const kept = page.waitForResponse((response) => /SetLinkVisibility/.test(response.request().postData() ?? ''))
    await programs.getByRole('checkbox', { name: 'Show my X accounts' }).check()
    await kept
    await page.reload()
    await token.getByText('Used just now').waitFor()
    expect(await page.content()).not.toContain(secret)
    expect(await programs.getByRole('checkbox', { name: 'Show my X accounts' }).isChecked()).toBe(true)

    await token.getByRole('button', { name: 'Revoke' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
    await token.waitFor({ state: 'detached' })
    expect((await use()).status).toBe(401)
  })

  test('S-10 a user whose sign-in is old signs in again, and finds the form as it was', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'yuki-ito')
    const programs = page.getByRole('region', { name: 'API tokens' })
    await programs.getByRole('button', { name: 'New API token' }).click()
    await programs.getByRole('textbox', { name: 'Name' }).fill('Late bot')
    await programs.getByRole('checkbox', { name: 'Post and delete tweets' }).check()
    await programs.getByRole('combobox').selectOption('1 year')
    suite.world.advance(601)
    await programs.getByRole('button', { name: 'Create token' }).click()
    await programs.getByText('you must have signed in within the last ten minutes').waitFor()
    await programs.getByRole('link', { name: 'Sign in again' }).click()
    await page.getByRole('radio', { name: 'yuki-ito' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    expect(await programs.getByRole('textbox', { name: 'Name' }).inputValue()).toBe('Late bot')
    await programs.getByRole('button', { name: 'Create token' }).click()
    const secret = await programs.getByRole('textbox', { name: 'Your new API token' }).inputValue()
    expect(secret).toMatch(/^xcg_[0-9A-Za-z]{55}$/)
    const made = programs.getByRole('listitem').filter({ hasText: 'Late bot' })
    expect(await made.textContent()).toContain('Post and delete tweets')
    expect(await made.textContent()).not.toMatch(/Read tweets|Read X accounts|Disconnect/)
    await page.reload()
    expect(await programs.getByRole('form', { name: 'New API token' }).isVisible()).toBe(false)
    expect(visit.complaints).toEqual([])
  })

  test('S-07 a user sees their sessions, and signs out one browser, then all others', async () => {
    const others = [await suite.openPage(), await suite.openPage(), await suite.openPage()]
    await using visit = await suite.openPage()
    const { page } = visit
    for (const other of [...others, visit]) await signIn(other.page, suite.world, 'Tomasz Kowal')
    const sessions = page.getByRole('region', { name: 'Sessions' })
    const entries = sessions.getByRole('listitem')
    expect(await entries.count()).toBe(4)
    expect(await entries.first().textContent()).toMatch(/Chrome on \w+.*This browser.*Signed in just now/s)
    expect(await entries.first().getByRole('button').count()).toBe(0)
    expect(await entries.nth(1).locator('.facts').textContent()).toMatch(/^Signed in (just now|\d+ min\. ago)$/)
    // Neither time is exact to the minute: a use is recorded once an hour.
    await suite.world.db().update(sessionRows).set({ createdAt: sql`created_at - interval '3 hours'` })
    await page.reload()
    expect(await entries.nth(1).locator('.facts').textContent()).toMatch(
      /^Signed in \d.* ago, used within the last hour$/,
    )
    // The last to sign in before this one is next.
    await entries.nth(1).getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click()
    await vi.waitFor(async () => expect(await entries.count()).toBe(3), { timeout: 30_000 })
    await others[2]?.page.reload()
    await others[2]?.page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
    await sessions.getByRole('button', { name: 'Sign out everywhere else' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click()
    await vi.waitFor(async () => expect(await entries.count()).toBe(1), { timeout: 30_000 })
    expect(await sessions.getByRole('button', { name: 'Sign out everywhere else' }).isVisible()).toBe(false)
    for (const other of others) {
      await other.page.reload()
      await other.page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
      await other[Symbol.asyncDispose]()
    }
    expect(visit.complaints).toEqual([])
  })

  test('S-10 a user deletes their account, after entering their login, with a recent sign-in', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'yuki-ito')
    await connect(page, 'The Quiet Garden')
    await page.getByText('@quietgarden is connected.').waitFor()
    await page.getByRole('textbox', { name: 'Text' }).fill('Never to be posted')
    const dialog = page.getByRole('dialog', { name: 'Delete your account?' })
    const login = dialog.getByRole('textbox', { name: 'Enter your GitHub login, yuki-ito, to confirm' })
    const open = () => page.getByRole('button', { name: 'Delete my account…' }).click()
    await open()
    await login.fill('mara-holt')
    await dialog.getByRole('button', { name: 'Delete everything' }).click()
    await dialog.getByText('send your own GitHub login').waitFor()
    expect(await login.getAttribute('aria-invalid')).toBe('true')
    await login.fill('yuki-ito')
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await open()
    expect(await login.inputValue()).toBe('')
    expect(await dialog.getByRole('alert').count()).toBe(0)

    suite.world.advance(601)
    await login.fill('yuki-ito')
    await login.press('Enter')
    await dialog.getByText('you must have signed in within the last ten minutes').waitFor()
    const countUsers = () => suite.world.db().$count(users, eq(users.login, 'yuki-ito'))
    expect(await countUsers()).toBe(1)
    await dialog.getByRole('link', { name: 'Sign in again' }).click()
    await page.getByRole('radio', { name: 'yuki-ito' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    expect(await login.inputValue()).toBe('yuki-ito')
    await dialog.getByRole('button', { name: 'Delete everything' }).click()
    await page.getByText('Everything that this gateway stored about you is deleted.').waitFor()
    await page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
    expect(await countUsers()).toBe(0)
    expect(await page.evaluate(() => JSON.stringify(sessionStorage))).not.toContain('Never to be posted')
    expect(await page.locator('#text').inputValue()).toBe('')

    await signIn(page, suite.world, 'yuki-ito')
    await page.getByText('No X accounts yet').waitFor()
    expect(await dialog.isVisible()).toBe(false)
    expect(visit.complaints).toEqual([])
  })
})
