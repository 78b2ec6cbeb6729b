// What a real browser fetches ahead of a click, and what it does with the response at the click.
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectAttempts } from '../../src/db/tables.ts'
import { describeInChromium, launchChromium } from '../support/chromium.ts'
import { startWorld, type World } from '../support/harness.ts'
import { type FrontEnd, startFrontEnd } from './front-end.ts'

describeInChromium('Fetching ahead', () => {
  let frontEnd: FrontEnd
  let world: World
  let browser: Browser
  beforeAll(async () => {
    frontEnd = await startFrontEnd()
    world = await startWorld({ ALLOWED_ORIGINS: frontEnd.origin })
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser.close()
    await world.close()
    await frontEnd[Symbol.asyncDispose]()
  })

  const rule = (kind: string, url: string) =>
    `<script type="speculationrules">${JSON.stringify({ [kind]: [{ urls: [url], eagerness: 'immediate' }] })}</script>`

  test.each<[string, (url: string) => string]>([
    ['a link to prefetch', (url) => `<link rel="prefetch" href="${url}">`],
    ['a rule to prefetch', (url) => rule('prefetch', url)],
    ['a rule to prerender', (url) => rule('prerender', url)],
  ])('by %s starts no sign-in, and the click that follows signs in', async (_what, write) => {
    const context = await browser.newContext()
    const page = await context.newPage()
    const returnTo = frontEnd.addPage('/done', '<h1>Done</h1>')
    const url = `${world.url}/auth/github?${new URLSearchParams({ returnTo })}`
    const start = frontEnd.addPage('/', `${write(url)}<a href="${url}">Sign in</a>`)
    const before = await world.db().$count(connectAttempts)
    const lines = () => world.logs().split('"path":"/auth/github",').length
    const asked = lines()
    await page.goto(start)
    // The gateway has seen the request that was made ahead.
    await expect.poll(lines, { timeout: 20_000 }).toBeGreaterThan(asked)
    expect(await world.db().$count(connectAttempts)).toBe(before)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.getByRole('radio', { name: 'Mara Holt' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.getByRole('heading', { name: 'Done' }).waitFor()
    expect(new URL(page.url()).searchParams.get('signIn')).toBe('succeeded')
    expect(await world.db().$count(connectAttempts)).toBe(before + 1)
    await context.close()
  })
})
