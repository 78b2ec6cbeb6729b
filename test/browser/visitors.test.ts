import { expect, test } from 'vitest'
import { describeInChromium } from '../support/chromium.ts'
import { generousLimits } from '../support/generous-limits.ts'
import { useBrowser } from './visit.ts'

const POINTS = 6

// The visitors of an office share one address, and its rate limit.
describeInChromium('The console of visitors who are not signed in', () => {
  const suite = useBrowser({ RATE_LIMITS: generousLimits.replace(/address=[^,]+/, `address=${POINTS}/3600`) })

  test('costs their address one point a page, and says why a sign-in was refused also without any', async () => {
    for (let visitor = 0; visitor < POINTS; visitor += 1) {
      await using visit = await suite.openPage()
      await visit.page.goto(suite.world.url)
      await visit.page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
    }
    await using visit = await suite.openPage()
    await visit.page.goto(`${suite.world.url}/?signIn=failed&code=INVITE_INVALID`)
    await visit.page.getByRole('button', { name: 'Try again' }).waitFor()
    await visit.page.getByText('Signing in did not work').waitFor()
    expect(await visit.page.locator('#unreachable-reason').textContent()).toMatch(/limit of 6 per 3600 s/)
  })

  test('remembers that somebody is signed in, who then costs one request a page', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    const marks = () => page.evaluate('Object.keys(localStorage)')
    await page.goto(`${suite.world.url}/auth/github`)
    await page.getByRole('radio', { name: 'Mara Holt' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.getByText('No X accounts yet').waitFor()
    expect(await marks()).toContain('xconnect-signed-in')
    const operations: unknown[] = []
    page.on('request', (request) => {
      if (request.method() === 'POST') operations.push(/^query (\w+)/.exec(request.postDataJSON().query)?.[1])
    })
    await page.reload()
    await page.getByText('No X accounts yet').waitFor()
    expect(operations).toEqual(['Overview'])
  })
})
