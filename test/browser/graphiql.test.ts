import type { Page } from 'playwright-core'
import { expect, test, vi } from 'vitest'
import { describeInChromium } from '../support/chromium.ts'
import { connect, signIn, useBrowser } from './visit.ts'

describeInChromium('GraphiQL', () => {
  const suite = useBrowser()

  test('runs queries as the signed-in user, and loads nothing from other hosts', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await page.goto(`${suite.world.url}/graphql`)
    await page.locator('#viewer').getByRole('link', { name: 'Sign in with GitHub' }).click()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.getByText('Signed in as mara-holt').waitFor()
    expect(page.url()).toBe(`${suite.world.url}/graphql`)
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
    // GraphiQL notices a moment later which operation the text has.
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
    // The request with the earlier operation's name is refused.
    expect(visit.complaints.filter((complaint) => !complaint.includes('400 (Bad Request)'))).toEqual([])
    expect(visit.foreignRequests).toEqual([])
  })

  test('follows a subscription, shows a refusal, and closes a stopped stream', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'yuki-ito')
    await connect(page, 'The Quiet Garden')
    await page.getByText('is connected').waitFor()
    await page.goto(`${suite.world.url}/graphql`)
    await page.getByText('Signed in as yuki-ito').waitFor()
    const result = page.locator('.result-window')
    const write = async (text: string) => {
      await page.getByRole('region', { name: 'Query Editor' }).getByRole('textbox').focus()
      await page.keyboard.press('Control+a')
      await page.keyboard.insertText(text)
    }
    await write('subscription { events(types: []) { cursor } }')
    // Until GraphiQL has noticed the new text, it sends the earlier operation's name.
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
    const post = await page.request.post(`${suite.world.url}/graphql`, {
      headers: { origin: suite.world.url },
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

  const TOKEN = 'Bearer xcg_pasted_into_the_headers'
  const DOCUMENT = 'query Private { rateLimit { limit } }'
  const editorOf = (page: Page) => page.getByRole('region', { name: 'Query Editor' }).getByRole('textbox')
  const readStored = (page: Page) =>
    page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]))

  /** Writes a document and a token, runs them, and finds both in GraphiQL's history. */
  async function usePrivately(page: Page): Promise<void> {
    await page.goto(`${suite.world.url}/graphql`)
    await page.getByText('Signed in as mara-holt').waitFor()
    await editorOf(page).focus()
    await page.keyboard.press('Control+a')
    await page.keyboard.insertText(DOCUMENT)
    await page.getByRole('button', { name: 'Headers' }).click()
    await page.getByRole('region', { name: 'Headers' }).getByRole('textbox').focus()
    await page.keyboard.insertText(JSON.stringify({ authorization: TOKEN }))
    // GraphiQL stores what was written a moment later.
    await vi.waitFor(async () => {
      await page.getByRole('button', { name: /Execute/ }).click()
      await page.locator('.result-window').getByText('This API token is not valid').waitFor({ timeout: 2_000 })
    }, 20_000)
    await page.getByRole('button', { name: 'Show History' }).click()
    await page.locator('.graphiql-history').getByText('Private').waitFor()
  }

  test('S-12 keeps a pasted token and documents in memory alone, and deletes what was stored before', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'mara-holt')
    await page.evaluate((token) => localStorage.setItem('graphiql:queries', JSON.stringify([token])), TOKEN)
    await usePrivately(page)
    expect(await readStored(page)).not.toMatch(/xcg_|Private|graphiql/)
    await page.reload()
    await page.getByText('Signed in as mara-holt').waitFor()
    await page.getByText('WhoAmI').first().waitFor()
    await page.getByRole('button', { name: 'Show History' }).click()
    await page.locator('.graphiql-history').waitFor()
    expect(await page.locator('main').textContent()).not.toMatch(/xcg_|Private/)
    expect(await readStored(page)).not.toMatch(/xcg_|Private|graphiql/)
  })

  test.each([
    [
      'signs out in another tab',
      async (page: Page) => {
        const other = await page.context().newPage()
        await other.goto(suite.world.url)
        await other.locator('#sign-out').getByRole('button').click()
        await other.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
      },
    ],
    [
      'signs out by a mutation of this page',
      async (page: Page) => {
        await editorOf(page).focus()
        await page.keyboard.press('Control+a')
        await page.keyboard.insertText('mutation { signOut { signedOut } }')
        await page.getByRole('region', { name: 'Headers' }).getByRole('textbox').focus()
        await page.keyboard.press('Control+a')
        await page.keyboard.press('Delete')
        await vi.waitFor(async () => {
          await page.getByRole('button', { name: /Execute/ }).click({ timeout: 1_000 })
          await page.getByText('You are signed out').waitFor({ timeout: 2_000 })
        }, 30_000)
      },
    ],
    [
      'loses the session elsewhere, once somebody looks at the page',
      async (page: Page) => {
        await page.context().clearCookies()
        await page.evaluate(() => window.dispatchEvent(new Event('focus')))
      },
    ],
    [
      'is followed by another one in another tab',
      async (page: Page) => {
        await page.context().clearCookies()
        const other = await page.context().newPage()
        await signIn(other, suite.world, 'yuki-ito')
        await other.close()
      },
    ],
  ])('S-12 shows the next person nothing of a user who %s', async (_how, leave) => {
    await using visit = await suite.openPage()
    const { page } = visit
    await signIn(page, suite.world, 'mara-holt')
    await usePrivately(page)
    await leave(page)
    await page
      .locator('#viewer')
      .getByText(/You are signed out|Signed in as yuki-ito/)
      .waitFor()
    await page.getByText('WhoAmI').first().waitFor()
    await page.getByRole('button', { name: 'Show History' }).click()
    await page.locator('.graphiql-history').waitFor()
    expect(await page.locator('main').textContent()).not.toMatch(/xcg_|Private/)
    expect(await readStored(page)).not.toMatch(/xcg_|Private|graphiql/)
  })
})
