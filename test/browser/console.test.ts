import { eq, sql } from 'drizzle-orm'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { sessions as sessionRows, tweets as tweetRows, users } from '../../src/db/tables.ts'
import { describeInChromium, launchChromium } from '../support/chromium.ts'
import { startWorld, type World } from '../support/harness.ts'
import { connect, openPage, signIn } from './visit.ts'

describeInChromium('The console', () => {
  let world: World
  let browser: Browser
  beforeAll(async () => {
    world = await startWorld()
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser.close()
    await world.close()
  })

  test('a person signs in, connects X, posts, sees the tweet at X, deletes it, disconnects and signs out', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await page.goto(world.url)
    await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
    expect(new URL(page.url()).origin).toBe(world.sandbox.url)
    await page.getByRole('radio', { name: 'Mara Holt' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.getByText('No X accounts yet').waitFor()
    expect(page.url()).toBe(`${world.url}/`)

    await connect(page, 'Mara Holt')
    await page.getByText('@maraholt is connected.').waitFor()
    expect(page.url()).toBe(`${world.url}/`)
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
    await timeline.goto(`${world.sandbox.url}/maraholt`)
    await timeline.getByText('Hello from Chromium').waitFor()

    // A page behind another one is slow.
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
    // Nobody is left to delete it.
    await kept.getByRole('button', { name: 'Delete' }).waitFor({ state: 'hidden' })
    expect(await kept.getByRole('link', { name: 'View on X' }).isVisible()).toBe(true)

    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
    expect(visit.complaints).toEqual([])
    expect(visit.foreignRequests).toEqual([])
  })

  test('a person makes an API token, sees it once, uses it, revokes it, and shows their links', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await page.goto(world.url)
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
    expect(secret).toMatch(/^xcg_[0-9A-Za-z]{33}$/)
    const token = programs.getByRole('listitem')
    expect(await token.textContent()).toMatch(/Release bot.*Active.*Read X accounts.*Never used, expires/s)
    const use = () =>
      fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
        body: '{"query":"{ viewer { login } connectedAccounts { id } }"}',
      })
    expect(await (await use()).json()).toEqual({ data: { viewer: { login: 'yuki-ito' }, connectedAccounts: [] } })

    // A reload would cut off what has not been answered.
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

  test('S-10 a person whose sign-in is old is led through another, and back to the form as it was', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await signIn(page, world, 'yuki-ito')
    const programs = page.getByRole('region', { name: 'API tokens' })
    await programs.getByRole('button', { name: 'New API token' }).click()
    await programs.getByRole('textbox', { name: 'Name' }).fill('Late bot')
    await programs.getByRole('checkbox', { name: 'Post and delete tweets' }).check()
    await programs.getByRole('combobox').selectOption('1 year')
    world.advance(601)
    await programs.getByRole('button', { name: 'Create token' }).click()
    await programs.getByText('you must have signed in within the last ten minutes').waitFor()
    await programs.getByRole('link', { name: 'Sign in again' }).click()
    await page.getByRole('radio', { name: 'yuki-ito' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    expect(await programs.getByRole('textbox', { name: 'Name' }).inputValue()).toBe('Late bot')
    await programs.getByRole('button', { name: 'Create token' }).click()
    const secret = await programs.getByRole('textbox', { name: 'Your new API token' }).inputValue()
    expect(secret).toMatch(/^xcg_[0-9A-Za-z]{33}$/)
    const made = programs.getByRole('listitem').filter({ hasText: 'Late bot' })
    expect(await made.textContent()).toContain('Post and delete tweets')
    expect(await made.textContent()).not.toMatch(/Read tweets|Read X accounts|Disconnect/)
    await page.reload()
    expect(await programs.getByRole('form', { name: 'New API token' }).isVisible()).toBe(false)
    expect(visit.complaints).toEqual([])
  })

  test('S-07 a person sees where they are signed in, and signs out one browser, then all others', async () => {
    const others = [await openPage(browser, world), await openPage(browser, world), await openPage(browser, world)]
    await using visit = await openPage(browser, world)
    const { page } = visit
    for (const other of [...others, visit]) await signIn(other.page, world, 'Tomasz Kowal')
    const sessions = page.getByRole('region', { name: 'Sessions' })
    const entries = sessions.getByRole('listitem')
    expect(await entries.count()).toBe(4)
    expect(await entries.first().textContent()).toMatch(/Chrome on \w+.*This browser.*Signed in just now/s)
    expect(await entries.first().getByRole('button').count()).toBe(0)
    expect(await entries.nth(1).locator('.facts').textContent()).toMatch(/^Signed in (just now|\d+ min\. ago)$/)
    // Neither is known to the minute: a use is written down once an hour.
    await world.db().update(sessionRows).set({ createdAt: sql`created_at - interval '3 hours'` })
    await page.reload()
    expect(await entries.nth(1).locator('.facts').textContent()).toMatch(
      /^Signed in \d.* ago, used within the last hour$/,
    )
    // The last to sign in before this one comes next.
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

  test('S-10 a person deletes their account: by their own login, and once their sign-in is recent', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await signIn(page, world, 'yuki-ito')
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

    world.advance(601)
    await login.fill('yuki-ito')
    await login.press('Enter')
    await dialog.getByText('you must have signed in within the last ten minutes').waitFor()
    const countUsers = () => world.db().$count(users, eq(users.login, 'yuki-ito'))
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

    await signIn(page, world, 'yuki-ito')
    await page.getByText('No X accounts yet').waitFor()
    expect(await dialog.isVisible()).toBe(false)
    expect(visit.complaints).toEqual([])
  })

  test('a trip that the person cancelled is said in words, once and as no failure, and links nothing', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await page.goto(world.url)
    await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    const notice = page.locator('.notice')
    await notice.getByText('Signing in was cancelled.', { exact: true }).waitFor()
    expect(await notice.getAttribute('class')).toBe('notice neutral')

    await signIn(page, world, 'Tomasz Kowal')
    await page.getByRole('button', { name: 'Connect an X account' }).click()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await notice.getByText('Connecting was cancelled. Nothing was connected.', { exact: true }).waitFor()
    expect(await notice.getAttribute('class')).toBe('notice neutral')
    expect(page.url()).toBe(`${world.url}/`)
    await page.reload()
    await page.getByText('No X accounts yet').waitFor()
    expect(await page.getByText('Nothing was connected').count()).toBe(0)
    expect(visit.complaints).toEqual([])
  })

  test('on a phone no button breaks a word, a badge stands beside a name that leaves it room, and nothing overflows', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await page.setViewportSize({ width: 390, height: 844 })
    await signIn(page, world, 'Tomasz Kowal')
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
    // As high as its one line.
    const { height } = await boxOf('.notice button')
    await write('.notice p', 'A notice that takes more than one line on a phone, as that of a refusal by X does.')
    expect((await boxOf('.notice button')).height).toBe(height)
    expect((await boxOf('.notice')).height).toBeGreaterThan(2 * height)
    // X lets a name have 50 characters.
    await write('.account .name', 'W'.repeat(50))
    expect([await placeBadge(), await widthOfAll()]).toEqual(['below', 390])
  })

  test('a tweet is composed, corrected and posted with the keyboard alone', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await signIn(page, world, 'Tomasz Kowal')
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
    // The list that was loaded again after the post is there, under the dialog.
    await page.getByText('Last post').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Disconnect')
    expect(visit.complaints).toEqual([])
  })

  test('what was being written outlives the session, and not a sign-out', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await signIn(page, world, 'Tomasz Kowal')
    await connect(page, 'Harbour Bakery')
    await page.getByText('@harbourbakery is connected.').waitFor()
    const field = page.getByRole('textbox', { name: 'Text' })
    await field.fill('Half of a thought')
    await page.context().clearCookies()
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page
      .getByText('Your session has ended. Sign in again to continue; your draft is kept.', { exact: true })
      .waitFor()
    // A reload while nobody is signed in takes nothing away either.
    await page.reload()
    await signIn(page, world, 'Tomasz Kowal')
    expect(await field.inputValue()).toBe('Half of a thought')
    await page.getByRole('button', { name: 'Sign out', exact: true }).first().click()
    await page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
    await signIn(page, world, 'Tomasz Kowal')
    expect(await field.inputValue()).toBe('')
    await page.context().clearCookies()
    await page.getByRole('button', { name: 'Refresh' }).click()
    await page.getByText('Your session has ended. Sign in again to continue.', { exact: true }).waitFor()
  })

  test('posting again after a cut connection posts once', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await signIn(page, world, 'yuki-ito')
    await connect(page, 'The Quiet Garden')
    await page.getByText('@quietgarden is connected.').waitFor()
    // The gateway gets the request and carries it out; the browser never hears of it.
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
    await timeline.goto(`${world.sandbox.url}/quietgarden`)
    expect(await timeline.getByText('Once is enough').count()).toBe(1)
  })

  test('a tweet has the age by which the list is ordered, also one that was posted later', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await signIn(page, world, 'yuki-ito')
    await connect(page, 'The Quiet Garden')
    await page.getByText('@quietgarden is connected.').waitFor()
    await page.getByRole('textbox', { name: 'Text' }).fill('Asked for early')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Posted as @quietgarden').waitFor()
    const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000)
    await world
      .db()
      .update(tweetRows)
      .set({ createdAt: hoursAgo(5), postedAt: hoursAgo(2) })
      .where(eq(tweetRows.text, 'Asked for early'))
    await page.getByRole('button', { name: 'Refresh' }).click()
    await page.getByRole('listitem').filter({ hasText: 'Asked for early' }).getByText('5 hr. ago').waitFor()
  })

  test('a refusal by X stands beside the text, and access that is lost beside the account', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await signIn(page, world, 'Mara Holt')
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
    await apps.goto(`${world.sandbox.url}/settings/connected_apps`)
    const access = apps.getByRole('listitem').filter({ hasText: '@maraholt' })
    await access.getByRole('button', { name: 'Revoke' }).click()
    // Chromium may never answer the wish to close a page that is just leaving for another.
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
    // What was written before the trip is still there.
    expect(await field.inputValue()).toBe('Anybody there?')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Posted as @maraholt').waitFor()
  })

  test('says when the gateway does not answer, and goes on when it does', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await page.route('**/graphql', (route) => route.abort('connectionrefused'))
    await page.goto(world.url)
    await page.getByRole('heading', { name: 'The gateway does not respond' }).waitFor()
    await page.unroute('**/graphql')
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
  })

  test('GraphiQL runs queries as the person who is signed in, and loads nothing from elsewhere', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await page.goto(`${world.url}/graphql`)
    await page.locator('#viewer').getByRole('link', { name: 'Sign in with GitHub' }).click()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.getByText('Signed in as mara-holt').waitFor()
    expect(page.url()).toBe(`${world.url}/graphql`)
    const result = page.locator('.result-window')
    await page.getByRole('button', { name: /Execute/ }).click()
    await result.getByText('"mara-holt"').waitFor()

    const editor = page.getByRole('region', { name: 'Query Editor' }).getByRole('textbox')
    await page
      .getByRole('button', { name: 'New tab' })
      .or(page.getByRole('button', { name: 'Add tab' }))
      .click()
    await editor.focus()
    await page.keyboard.press('Control+a')
    await page.keyboard.insertText('mutation { startXConnect { authorizationUrl } }')
    // GraphiQL notices a moment later which operation is in the text.
    await page.keyboard.press('Control+Enter')
    await result.getByText('/i/oauth2/authorize').waitFor()

    await page.keyboard.press('Control+a')
    await page.keyboard.type('{ connectedAcc')
    await page.locator('.CodeMirror-hints').getByText('connectedAccounts').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click()
    await page.getByRole('link', { name: 'ConnectedAccount', exact: true }).click()
    await page.getByText('The API never returns its tokens.').waitFor()
    await page.getByRole('button', { name: 'Open settings dialog' }).click()
    await page.getByRole('dialog').getByText('Theme').waitFor()
    // The earlier operation's name, sent along with the new text, is refused.
    expect(visit.complaints.filter((complaint) => !complaint.includes('400 (Bad Request)'))).toEqual([])
    expect(visit.foreignRequests).toEqual([])
  })

  test('GraphiQL follows a subscription, shows how a refused one is refused, and closes what is stopped', async () => {
    await using visit = await openPage(browser, world)
    const { page } = visit
    await signIn(page, world, 'yuki-ito')
    await connect(page, 'The Quiet Garden')
    await page.getByText('is connected').waitFor()
    await page.goto(`${world.url}/graphql`)
    await page.getByText('Signed in as yuki-ito').waitFor()
    const result = page.locator('.result-window')
    const write = async (text: string) => {
      await page.getByRole('region', { name: 'Query Editor' }).getByRole('textbox').focus()
      await page.keyboard.press('Control+a')
      await page.keyboard.insertText(text)
    }
    await write('subscription { events(types: []) { cursor } }')
    // As above: until GraphiQL has noticed the new text, it sends the earlier operation's name along.
    await vi.waitFor(async () => {
      await page.keyboard.press('Control+Enter')
      await result.getByText('Name a type in').waitFor({ timeout: 1_000 })
    }, 20_000)

    await write('subscription { events(types: [TWEET_POSTED]) { cursor node { type } } }')
    const opened = page.waitForResponse((response) =>
      /"subscription .*TWEET_POSTED/.test(response.request().postData() ?? ''),
    )
    await page.keyboard.press('Control+Enter')
    const stream = await opened
    expect([stream.status(), stream.headers()['content-type']]).toEqual([200, 'text/event-stream'])
    const post = await page.request.post(`${world.url}/graphql`, {
      headers: { origin: world.url },
      data: {
        query: 'mutation { postTweet(input: { text: "Followed", idempotencyKey: "followed" }) { tweet { status } } }',
      },
    })
    expect(await post.json()).toEqual({ data: { postTweet: { tweet: { status: 'POSTED' } } } })
    await result.getByText('"TWEET_POSTED"').waitFor()

    const closed = page.waitForEvent('requestfailed', (request) => request === stream.request())
    await page.getByRole('button', { name: /Stop/ }).click()
    expect((await closed).failure()?.errorText).toBe('net::ERR_ABORTED')
    await page.getByRole('button', { name: /Execute/ }).waitFor()
    await result.getByText('"TWEET_POSTED"').waitFor()
    expect(visit.complaints.filter((complaint) => !complaint.includes('400 (Bad Request)'))).toEqual([])
  })
})
