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
})
