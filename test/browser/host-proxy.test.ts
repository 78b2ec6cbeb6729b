// The console behind a proxy that rewrites Host, in a real browser, which stops after twenty
// redirects.
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeInChromium, launchChromium } from '../support/chromium.ts'
import { startWorld } from '../support/harness.ts'
import { startHostProxy } from '../support/host-proxy.ts'

describeInChromium('A proxy that rewrites Host', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser.close())

  test.each<[string, (ports: { proxy: number; gateway: number }) => number]>([
    ['with the port of the gateway', ({ gateway }) => gateway],
    ['with the port of PUBLIC_URL', ({ proxy }) => proxy],
  ])('to localhost, %s, lets users open the console and sign in', async (_what, portOf) => {
    await using proxy = await startHostProxy()
    const publicUrl = `http://127.0.0.1:${proxy.port}`
    const world = await startWorld({ PUBLIC_URL: publicUrl })
    const gateway = Number(new URL(world.url).port)
    proxy.passTo(gateway, `localhost:${portOf({ proxy: proxy.port, gateway })}`)
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(publicUrl)
    await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
    await page.getByRole('radio', { name: 'Mara Holt' }).check()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.getByRole('heading', { name: 'X accounts' }).waitFor()
    expect(new URL(page.url()).origin).toBe(publicUrl)
    await context.close()
    await world.close()
  })
})
