// A person's Chromium, as the stories about pages use it.
import type { Browser, Page } from 'playwright-core'
import type { World } from '../support/harness.ts'

export type Visit = AsyncDisposable & {
  page: Page
  /** What the browser complains about: blocked by the content security policy, thrown, not found. */
  complaints: string[]
  /** Addresses that are neither the gateway's nor the sandbox's. */
  foreignRequests: string[]
}

/** Opens a page with cookies of its own. */
export async function openPage(browser: Browser, world: World): Promise<Visit> {
  const context = await browser.newContext()
  const page = await context.newPage()
  const complaints: string[] = []
  const foreignRequests: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  context.on('request', (request) => {
    const { origin, protocol } = new URL(request.url())
    if (protocol !== 'data:' && origin !== world.url && origin !== world.sandbox.url)
      foreignRequests.push(request.url())
  })
  return { page, complaints, foreignRequests, [Symbol.asyncDispose]: () => context.close() }
}

/** Signs this GitHub person in, by the consent page. */
export async function signIn(page: Page, world: World, person: string): Promise<void> {
  await page.goto(world.url)
  await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
  await page.getByRole('radio', { name: person }).check()
  await page.getByRole('button', { name: 'Authorize' }).click()
  await page.getByRole('heading', { name: 'X accounts' }).waitFor()
}

/** Connects this X account, by the consent page: the page then says how that ended. */
export async function connect(page: Page, account: string): Promise<void> {
  await page.getByRole('button', { name: 'Connect an X account' }).click()
  await page.getByRole('radio', { name: account }).check()
  await page.getByRole('button', { name: 'Authorize app' }).click()
}
