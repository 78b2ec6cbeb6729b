import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { describeInChromium } from '../support/chromium.ts'
import { connect, signIn, useBrowser } from './visit.ts'

// The worst mistake is a tweet from the wrong account.
describeInChromium('The author of a draft', () => {
  const suite = useBrowser()

  let people = 0
  /** Signs in a new user, with an X account for each of these names. */
  async function comeWith(page: Page, ...names: string[]): Promise<string[]> {
    people += 1
    const login = `writer-${people}`
    suite.world.sandbox.control.addGithubPerson(login)
    await signIn(page, suite.world, login)
    const usernames: string[] = []
    for (const name of names) {
      const username = `${name}_${people}`
      suite.world.sandbox.control.addAccount(username)
      await connectAnother(page, username)
      usernames.push(username)
    }
    return usernames
  }

  async function connectAnother(page: Page, username: string): Promise<void> {
    await connect(page, `@${username}`)
    await page.getByText(`@${username} is connected.`).waitFor()
  }

  const author = (page: Page) => page.locator('#author option:checked').textContent()
  const field = (page: Page) => page.getByRole('textbox', { name: 'Text' })
  const post = (page: Page) => page.getByRole('button', { name: 'Post', exact: true })
  const postsOf = (username: string) => suite.world.sandbox.control.tweets(username).map(({ text }) => text)

  test.each(['the text was begun before', 'nothing is written yet'])(
    'stays who it is when a second account is connected: %s',
    async (when) => {
      await using visit = await suite.openPage()
      const { page } = visit
      const [first = ''] = await comeWith(page, 'first')
      if (when === 'the text was begun before') await field(page).fill('From the first')
      const second = `second_${people}`
      suite.world.sandbox.control.addAccount(second)
      await connectAnother(page, second)
      expect(await author(page)).toContain(`@${first}`)
      await field(page).fill('From the first')
      await post(page).click()
      await page.getByText(`Posted as @${first}`).waitFor()
      expect([postsOf(first), postsOf(second)]).toEqual([['From the first'], []])
    },
  )

  test('is unset once their account is gone, in this tab or another, until the user chooses', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    const [gone = '', left = ''] = await comeWith(page, 'gone', 'left')
    await page.getByRole('combobox', { name: 'Post as' }).selectOption({ label: `${gone} @${gone}` })
    await field(page).fill('For one account alone')
    const other = await page.context().newPage()
    await other.goto(suite.world.url)
    const account = other.getByRole('listitem').filter({ hasText: `@${gone}` })
    await account.getByRole('button', { name: 'Disconnect' }).click()
    await other.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click()
    await account.waitFor({ state: 'detached' })
    await other.close()

    await page.reload()
    await page.getByText(`@${gone} is no longer connected. Choose the account to post from.`).waitFor()
    expect(await author(page)).toBe('Choose an account')
    expect(await field(page).inputValue()).toBe('For one account alone')
    await post(page).click()
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('author')
    expect(await author(page)).toBe('Choose an account')
    // The account returns, and becomes the author again.
    await connectAnother(page, gone)
    expect(await author(page)).toContain(`@${gone}`)
    const again = page.getByRole('listitem').filter({ hasText: `@${gone}` })
    await again.getByRole('button', { name: 'Disconnect' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click()
    await page.getByText(`@${gone} is no longer connected.`).waitFor()
    expect([postsOf(gone), postsOf(left)]).toEqual([[], []])
    await page.getByRole('combobox', { name: 'Post as' }).selectOption({ label: `${left} @${left}` })
    await post(page).click()
    await page.getByText(`Posted as @${left}`).waitFor()
    expect([postsOf(gone), postsOf(left)]).toEqual([[], ['For one account alone']])
    expect(visit.complaints).toEqual([])
  })

  test('is unset when the only account is gone and another one is connected instead', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    const [gone = ''] = await comeWith(page, 'gone')
    await field(page).fill('For one account alone')
    await page.getByRole('button', { name: 'Disconnect' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click()
    await page.getByText('No X accounts yet').waitFor()
    const instead = `instead_${people}`
    suite.world.sandbox.control.addAccount(instead)
    await connectAnother(page, instead)
    expect(await field(page).inputValue()).toBe('For one account alone')
    expect(await author(page)).toBe('Choose an account')
    await page.keyboard.press('Control+Enter')
    await field(page).press('Control+Enter')
    await page.getByText(`@${gone} is no longer connected.`).waitFor()
    // An empty draft has no author.
    await field(page).fill('')
    await page.reload()
    await page.getByRole('form', { name: 'New tweet' }).waitFor()
    expect(await author(page)).toContain(`@${instead}`)
    expect(postsOf(instead)).toEqual([])
  })

  test('stays the same after the session has ended and the user has signed in again', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    const [, second = ''] = await comeWith(page, 'first', 'second')
    await page.getByRole('combobox', { name: 'Post as' }).selectOption({ label: `${second} @${second}` })
    await field(page).fill('From the second')
    await page.context().clearCookies()
    await post(page).click()
    await page.getByText('Your session has ended.').waitFor()
    const login = `writer-${people}`
    await signIn(page, suite.world, login)
    const third = `third_${people}`
    suite.world.sandbox.control.addAccount(third)
    await connectAnother(page, third)
    expect(await author(page)).toContain(`@${second}`)
  })

  test('in a new tab is the account that posted last', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    const [first = '', second = ''] = await comeWith(page, 'first', 'second')
    await page.getByRole('combobox', { name: 'Post as' }).selectOption({ label: `${first} @${first}` })
    await field(page).fill('From the first')
    await post(page).click()
    await page.getByText(`Posted as @${first}`).waitFor()
    const other = await page.context().newPage()
    await other.goto(suite.world.url)
    await other.getByRole('form', { name: 'New tweet' }).waitFor()
    expect(await author(other)).toContain(`@${first}`)
    expect(postsOf(second)).toEqual([])
  })

  test('and its key are those of the last page, also on a page that the browser restores from its cache', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    const [first = '', second = ''] = await comeWith(page, 'first', 'second')
    await page.getByRole('combobox', { name: 'Post as' }).selectOption({ label: `${first} @${first}` })
    // A later page of this tab changes the draft while this one is in the cache for Back.
    const draft = {
      text: 'Written later',
      accountId: await page.locator('#author option:not(:checked)').getAttribute('value'),
    }
    await page.evaluate(
      (text) => sessionStorage.setItem('xconnect-draft', text),
      JSON.stringify({ ...draft, keys: {} }),
    )
    await page.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })))
    await expect.poll(() => field(page).inputValue()).toBe('Written later')
    await expect.poll(() => author(page)).toContain(`@${second}`)
  })
})
