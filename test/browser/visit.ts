// What the browser tests share: a world and a Chromium for each suite, pages, sign-in and
// connecting.
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll } from 'vitest'
import { launchChromium } from '../support/chromium.ts'
import { startWorld, type World } from '../support/harness.ts'

export type Visit = AsyncDisposable & {
  page: Page
  /** Errors and warnings in the browser's console, and uncaught exceptions. */
  complaints: string[]
  /** URLs of requests to hosts other than the gateway and the sandbox. */
  foreignRequests: string[]
}

export type BrowserSuite = {
  readonly world: World
  readonly browser: Browser
  /** Opens a page in a new browser context, with its own cookies. */
  openPage(): Promise<Visit>
}

/**
 * Starts a world and a Chromium before the tests of a suite, and closes both after them.
 * @param environment overrides of the gateway's environment variables.
 */
export function useBrowser(environment: Record<string, string> | (() => Record<string, string>) = {}): BrowserSuite {
  let world: World
  let browser: Browser
  beforeAll(async () => {
    world = await startWorld(typeof environment === 'function' ? environment() : environment)
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser.close()
    await world.close()
  })
  return {
    get world() {
      return world
    },
    get browser() {
      return browser
    },
    openPage: () => openPage(browser, world),
  }
}

async function openPage(browser: Browser, world: World): Promise<Visit> {
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

/** Signs in with this GitHub person on the consent page. */
export async function signIn(page: Page, world: World, person: string): Promise<void> {
  await page.goto(world.url)
  await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
  await page.getByRole('radio', { name: person }).check()
  await page.getByRole('button', { name: 'Authorize' }).click()
  await page.getByRole('heading', { name: 'X accounts' }).waitFor()
}

/** Connects this X account on the consent page. The page then shows the outcome. */
export async function connect(page: Page, account: string): Promise<void> {
  await page.getByRole('button', { name: 'Connect an X account' }).click()
  await page.getByRole('radio', { name: account }).check()
  await page.getByRole('button', { name: 'Authorize app' }).click()
}
