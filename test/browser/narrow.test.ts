import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { connectedAccounts } from '../../src/db/tables.ts'
import { describeInChromium } from '../support/chromium.ts'
import { connect, signIn, useBrowser } from './visit.ts'

// The width of a page at 400 % zoom (WCAG 2.2, 1.4.10).
const WIDTH = 320

describeInChromium('Every page', () => {
  const suite = useBrowser()

  /**
   * Returns the elements beyond the right edge, except hidden ones and those in a scrolling frame.
   */
  const listOverflow = (page: Page) =>
    page.evaluate((width) => {
      const isClipped = (element: Element): boolean => {
        const parent = element.parentElement
        if (parent === null) return false
        return getComputedStyle(parent).overflowX !== 'visible' || isClipped(parent)
      }
      const beyond = [...document.querySelectorAll('body *')]
        .filter((element) => element.getBoundingClientRect().right > width + 0.5 && !isClipped(element))
        .map((element) => `${element.tagName} ${element.className}`)
      return document.documentElement.scrollWidth > width ? [...beyond, 'the page itself'] : beyond
    }, WIDTH)

  test('fits into 320 pixels, with long names, texts and refusals', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    const fits = async (place: string) => expect([place, await listOverflow(page)]).toEqual([place, []])
    await page.setViewportSize({ width: WIDTH, height: 700 })
    await page.goto(suite.world.url)
    await page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
    await fits('signed out')
    await page.goto(`${suite.world.url}/nothing/here`)
    await fits('not found')
    await page.goto(suite.world.url)
    await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
    await page.getByRole('button', { name: 'Authorize' }).waitFor()
    await fits('consent at GitHub')
    suite.world.sandbox.control.addGithubPerson('a-login-with-as-many-letters-as-github-lets')
    await signIn(page, suite.world, 'a-login-with-as-many-letters-as-github-lets')
    await fits('nothing connected')
    await page.getByRole('button', { name: 'Connect an X account' }).click()
    await page.getByRole('button', { name: 'Authorize app' }).waitFor()
    await fits('consent at X')
    suite.world.sandbox.control.addAccount('fifteen_letters', 'W'.repeat(50))
    await page.goto(suite.world.url)
    await connect(page, '@fifteen_letters')
    await page.getByText('is connected.').waitFor()
    await page.getByRole('textbox', { name: 'Text' }).fill(`${'W'.repeat(150)} https://example.com/${'x'.repeat(80)}`)
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByText('Posted as').waitFor()
    await page.getByRole('button', { name: 'New API token' }).click()
    await fits('posted, and the form for a token')
    await page.getByRole('textbox', { name: 'Name' }).fill('W'.repeat(100))
    await page.getByRole('checkbox', { name: 'Read X accounts' }).check()
    await page.getByRole('button', { name: 'Create token' }).click()
    await page.getByRole('textbox', { name: 'Your new API token' }).waitFor()
    await fits('a token')
    await suite.world.db().update(connectedAccounts).set({ status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' })
    await page.goto(`${suite.world.url}/?xConnect=failed&code=X_CREDENTIALS_REJECTED`)
    await page.getByText('Nothing was connected.').waitFor()
    await fits('a refusal, and an account that is lost')
    await page.getByRole('button', { name: 'Delete my account…' }).click()
    await fits('the dialog')
    await page.goto(`${suite.world.url}/graphql`)
    await page.getByText('Signed in as').waitFor()
    await fits('GraphiQL')
    for (const path of ['/', '/fifteen_letters', '/settings/connected_apps', '/i/oauth2/authorize']) {
      await page.goto(`${suite.world.sandbox.url}${path}`)
      await fits(path)
    }
  })

  test('has icons and buttons with a contrast of 4.5 or more, light and dark', async () => {
    await using visit = await suite.openPage()
    const { page } = visit
    const contrasts = (selector: string) =>
      page.locator(selector).evaluateAll((elements) => {
        // A canvas converts any notation of a colour to bytes.
        const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })
        if (context === null) throw new Error('There is no canvas')
        const luminance = (color: string) => {
          context.fillStyle = color
          context.fillRect(0, 0, 1, 1)
          const [r = 0, g = 0, b = 0] = [...context.getImageData(0, 0, 1, 1).data]
            .map((byte) => byte / 255)
            .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
          return 0.2126 * r + 0.7152 * g + 0.0722 * b
        }
        return elements.map((element) => {
          const { color, backgroundColor } = getComputedStyle(element)
          const [dark = 0, light = 0] = [luminance(color), luminance(backgroundColor)].toSorted((a, b) => a - b)
          return (light + 0.05) / (dark + 0.05)
        })
      })
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await page.goto(suite.world.url)
      await page.getByRole('link', { name: 'Sign in with GitHub' }).waitFor()
      const found = [...(await contrasts('.button.primary:visible')), ...(await contrasts('.ribbon, .ribbon strong'))]
      await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
      found.push(...(await contrasts('.mark, .button.primary, .ribbon, .ribbon strong')))
      await page.goto(`${suite.world.url}/nothing`)
      found.push(...(await contrasts('.button.primary')))
      expect(found.length).toBeGreaterThan(7)
      for (const contrast of found) expect(contrast).toBeGreaterThanOrEqual(4.5)
    }
  })
})
