import { desc, eq } from 'drizzle-orm'
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { connectedAccounts, tweets as tweetRows } from '../../src/db/tables.ts'
import { describeInChromium } from '../support/chromium.ts'
import { connect, signIn, useBrowser } from './visit.ts'

describeInChromium('The list of tweets', () => {
  const suite = useBrowser()

  /** Signs in a user who has posted this many tweets, of which the first ten are shown. */
  async function comeWith(page: Page, login: string, count: number): Promise<void> {
    suite.world.sandbox.control.addGithubPerson(login)
    suite.world.sandbox.control.addAccount(`x_${login}`)
    await signIn(page, suite.world, login)
    await connect(page, `@x_${login}`)
    await page.getByText('is connected.').waitFor()
    await page.getByRole('textbox', { name: 'Text' }).fill('Number 1')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Posted as').waitFor()
    const [row] = await suite.world
      .db()
      .select()
      .from(tweetRows)
      .where(eq(tweetRows.text, 'Number 1'))
      .orderBy(desc(tweetRows.createdAt))
    if (row === undefined) throw new Error('The tweet is not stored')
    const copies = Array.from({ length: count - 1 }, (_, index) => ({
      ...row,
      id: crypto.randomUUID(),
      xTweetId: `${BigInt(row.xTweetId ?? 0) - BigInt(index + 1)}`,
      text: `Number ${index + 2}`,
      createdAt: new Date(row.createdAt.getTime() - (index + 1) * 60_000),
    }))
    await suite.world.db().insert(tweetRows).values(copies)
    await page.reload()
    await items(page).nth(9).waitFor()
  }

  const items = (page: Page) => page.locator('#tweets > li')
  const texts = (page: Page) => page.locator('#tweets .text').allTextContents()
  const numbers = (count: number) => Array.from({ length: count }, (_, index) => `Number ${index + 1}`)
  const focusedText = (page: Page) => page.evaluate(() => document.activeElement?.querySelector('.text')?.textContent)

  test('keeps the loaded tweets and the focus when a tweet is deleted', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await comeWith(page, 'deleter', 34)
    for (const count of [20, 30]) {
      await page.getByRole('button', { name: 'Load more' }).click()
      await items(page)
        .nth(count - 1)
        .waitFor()
    }
    const item = items(page).nth(24)
    await item.getByRole('button', { name: 'Delete' }).scrollIntoViewIfNeeded()
    const top = () => item.evaluate((element) => Math.round(element.getBoundingClientRect().top))
    await item.getByRole('button', { name: 'Delete' }).click()
    const before = await top()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await item.getByText('Deleted', { exact: true }).waitFor()
    expect(await texts(page)).toEqual(numbers(30))
    expect(await top()).toBe(before)
    expect(await focusedText(page)).toBe('Number 25')
    await page.getByRole('button', { name: 'Load more' }).click()
    await items(page).nth(33).waitFor()
    expect(await texts(page)).toEqual(numbers(34))
    expect(await focusedText(page)).toBe('Number 31')
    expect(visit.complaints).toEqual([])
  })

  test('keeps the loaded tweets when a tweet is posted, refreshed or pending', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await comeWith(page, 'poster', 24)
    await page.getByRole('button', { name: 'Load more' }).click()
    await items(page).nth(19).waitFor()
    await items(page).nth(15).getByRole('button', { name: 'Delete' }).focus()
    // The user reads on with the keyboard while the page polls a tweet.
    await suite.world.db().update(tweetRows).set({ status: 'PENDING' }).where(eq(tweetRows.text, 'Number 12'))
    await page.getByRole('button', { name: 'Refresh' }).evaluate((button: HTMLElement) => button.click())
    await items(page).nth(11).getByText('Sending').waitFor()
    await suite.world.db().update(tweetRows).set({ status: 'POSTED' }).where(eq(tweetRows.text, 'Number 12'))
    await items(page).nth(11).getByText('Posted', { exact: true }).waitFor()
    expect(await texts(page)).toEqual(numbers(20))
    expect(await page.evaluate(() => document.activeElement?.closest('li')?.querySelector('.text')?.textContent)).toBe(
      'Number 16',
    )
    await page.getByRole('textbox', { name: 'Text' }).fill('Brand new')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await items(page).filter({ hasText: 'Brand new' }).waitFor()
    expect(await texts(page)).toEqual(['Brand new', ...numbers(19)])
    expect(visit.complaints).toEqual([])
  })

  test('shows a long text in full until it is collapsed', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await comeWith(page, 'essayist', 12)
    await suite.world
      .db()
      .update(tweetRows)
      .set({ text: 'A line.\n'.repeat(40) })
      .where(eq(tweetRows.text, 'Number 3'))
    await page.getByRole('button', { name: 'Refresh' }).click()
    await page.getByRole('button', { name: 'Show all' }).click()
    await suite.world.db().update(tweetRows).set({ text: 'Changed meanwhile' }).where(eq(tweetRows.text, 'Number 1'))
    await page.getByRole('button', { name: 'Refresh' }).click()
    await items(page).first().getByText('Changed meanwhile').waitFor()
    expect(await items(page).nth(2).locator('.text').getAttribute('class')).toBe('text')
  })

  test.each([
    ['NEEDS_REAUTH', 'Reconnect', { status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' }],
    ['LIMITED', 'Grant permissions', { status: 'LIMITED', scopes: ['tweet.read', 'users.read', 'offline.access'] }],
  ] as const)(
    'an author that is %s has "%s" where others have Post, and no other green button',
    async (_, word, row) => {
      await using visit = await suite.openPage()
      const { page } = visit
      const login = `broken-${row.status.toLowerCase().replace('_', '')}`.slice(0, 12)
      const username = `b_${row.status}`.slice(0, 12)
      suite.world.sandbox.control.addGithubPerson(login)
      suite.world.sandbox.control.addAccount(username)
      await signIn(page, suite.world, login)
      await connect(page, `@${username}`)
      await page.getByText('is connected.').waitFor()
      await page.getByRole('textbox', { name: 'Text' }).fill('Waiting for the account')
      await suite.world
        .db()
        .update(connectedAccounts)
        .set({ ...row, scopes: [...('scopes' in row ? row.scopes : [])] })
        .where(eq(connectedAccounts.username, username))
      await page.reload()
      const form = page.getByRole('form', { name: 'New tweet' })
      await form.getByRole('button', { name: word }).waitFor()
      expect(await form.getByRole('button', { name: 'Post', exact: true }).isVisible()).toBe(false)
      expect(await page.locator('.button.primary:visible').allTextContents()).toEqual([word])
      await page.getByRole('textbox', { name: 'Text' }).press('Control+Enter')
      await form.getByText(`@${username} cannot post now`).waitFor()
      await form.getByRole('button', { name: word }).click()
      await page.getByRole('radio', { name: `@${username}` }).check()
      await page.getByRole('button', { name: 'Authorize app' }).click()
      await page.getByText('is connected.').waitFor()
      await page.getByRole('button', { name: 'Post', exact: true }).click()
      await page.getByText(`Posted as @${username}`).waitFor()
      expect(visit.complaints).toEqual([])
    },
  )
})
