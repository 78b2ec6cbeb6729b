// The content security policies of the pages in a real browser.
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { describeInChromium } from '../support/chromium.ts'
import { useBrowser } from './visit.ts'

describeInChromium('The content policies', () => {
  const suite = useBrowser()

  test('C-06 are violated by no page of the gateway, from sign-in to a tweet at X and GraphiQL with its dialogs', async () => {
    const page = await suite.browser.newPage()
    const violations = await watchPolicy(page)
    const addresses = new Set<string>()
    page.on('load', () => addresses.add(new URL(page.url()).pathname))
    await page.goto(suite.world.url)
    await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
    await page.getByRole('radio', { name: 'Mara Holt' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.getByRole('button', { name: 'Connect an X account' }).click()
    await page.getByRole('radio', { name: 'Mara Holt' }).check()
    await page.getByRole('button', { name: 'Authorize app' }).click()
    await page.getByText('@maraholt is connected.').waitFor()
    await page.getByRole('textbox', { name: 'Text' }).fill('Within the policy')
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Posted as @maraholt').waitFor()

    await page.goto(`${suite.world.url}/graphql`)
    await page.getByText('Signed in as mara-holt').waitFor()
    await page.getByRole('button', { name: /Execute/ }).click()
    await page.locator('.result-window').getByText('"mara-holt"').waitFor()
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click()
    await page.getByRole('button', { name: 'Open settings dialog' }).click()
    await page.getByRole('dialog').getByText('Theme').waitFor()

    for (const path of ['/', '/maraholt', '/settings/connected_apps', '/nobody_here'])
      await page.goto(`${suite.world.sandbox.url}${path}`)
    await page.goto(`${suite.world.url}/nowhere`)
    expect([...addresses].length).toBeGreaterThan(7)
    expect(violations).toEqual([])
    await page.close()
  })

  test('C-06 block content that was injected into a page', async () => {
    for (const path of ['/', '/graphql']) {
      const page = await suite.browser.newPage()
      const violations = await watchPolicy(page)
      await page.goto(`${suite.world.url}${path}`)
      await page.evaluate(() => {
        const add = (name: string, values: Record<string, string>) =>
          document.body.append(Object.assign(document.createElement(name), values))
        add('script', { textContent: 'window.name = "ran"' })
        add('script', { src: 'http://localhost:1/evil.js' })
        add('style', { textContent: 'body { display: none }' })
        add('iframe', { src: 'http://localhost:1/' })
        add('object', { data: 'http://localhost:1/' })
        document.body.insertAdjacentHTML(
          'beforeend',
          '<p id="probe" style="color: red" onclick="window.name = \'ran\'"></p>',
        )
        document.getElementById('probe')?.click()
      })
      await expect.poll(() => violations.length, { timeout: 15_000 }).toBeGreaterThanOrEqual(7)
      expect(new Set(violations.map((violation) => violation.split(' ')[0]))).toEqual(
        new Set(['script-src-elem', 'script-src-attr', 'style-src-elem', 'style-src-attr', 'frame-src', 'object-src']),
      )
      expect(await page.evaluate(() => [window.name, getComputedStyle(document.body).display])).not.toContain('ran')
      await page.close()
    }
  })
})

/** Collects every violation on any page: the directive, the blocked content, and where. */
async function watchPolicy(page: Page): Promise<string[]> {
  const violations: string[] = []
  await page.exposeFunction('tellViolation', (violation: string) => void violations.push(violation))
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI, documentURI }) => {
      Reflect.get(window, 'tellViolation')(`${effectiveDirective} ${blockedURI} on ${documentURI}`)
    })
  })
  return violations
}
