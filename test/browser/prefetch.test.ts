// Speculative loading in a real browser, and what the browser does with the response at the click.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { signInAttempts } from '../../src/db/tables.ts'
import { describeInChromium } from '../support/chromium.ts'
import { type FrontEnd, startFrontEnd } from './front-end.ts'
import { useBrowser } from './visit.ts'

describeInChromium('Fetching ahead', () => {
  let frontEnd: FrontEnd
  beforeAll(async () => {
    frontEnd = await startFrontEnd()
  })
  afterAll(() => frontEnd[Symbol.asyncDispose]())
  const suite = useBrowser(() => ({ ALLOWED_ORIGINS: frontEnd.origin }))

  const rule = (kind: string, url: string) =>
    `<script type="speculationrules">${JSON.stringify({ [kind]: [{ urls: [url], eagerness: 'immediate' }] })}</script>`

  test.each<[string, (url: string) => string]>([
    ['a link to prefetch', (url) => `<link rel="prefetch" href="${url}">`],
    ['a rule to prefetch', (url) => rule('prefetch', url)],
    ['a rule to prerender', (url) => rule('prerender', url)],
    ['an image', (url) => `<img src="${url}">`],
    ['a frame', (url) => `<iframe src="${url}"></iframe>`],
    ['a script', (url) => `<script src="${url}"></script>`],
    [
      'a call of fetch',
      (url) => `<script>fetch(${JSON.stringify(url)}, { mode: 'no-cors', credentials: 'include' })</script>`,
    ],
  ])('by %s starts no sign-in, and the following click signs in', async (_what, write) => {
    const context = await suite.browser.newContext()
    const page = await context.newPage()
    const returnTo = frontEnd.addPage('/done', '<h1>Done</h1>')
    const url = `${suite.world.url}/auth/github?${new URLSearchParams({ returnTo })}`
    const start = frontEnd.addPage('/', `${write(url)}<a href="${url}">Sign in</a>`)
    const before = await suite.world.db().$count(signInAttempts)
    const lines = () => suite.world.logs().split('"path":"/auth/github",').length
    const asked = lines()
    await page.goto(start)
    // The gateway has received the prefetch.
    await expect.poll(lines, { timeout: 20_000 }).toBeGreaterThan(asked)
    expect(await suite.world.db().$count(signInAttempts)).toBe(before)
    await page.getByRole('link', { name: 'Sign in' }).click()
    await page.getByRole('radio', { name: 'Mara Holt' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.getByRole('heading', { name: 'Done' }).waitFor()
    expect(new URL(page.url()).searchParams.get('signIn')).toBe('succeeded')
    expect(await suite.world.db().$count(signInAttempts)).toBe(before + 1)
    await context.close()
  })
})
