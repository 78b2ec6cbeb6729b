/**
 * `npm run screenshot`: takes the README's picture of the console, from a gateway that it starts
 * with the sandbox.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { launchChromium } from '../support/chromium.ts'
import { findFreePort } from '../support/free-port.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const root = path.join(import.meta.dirname, '../..')
const target = path.join(root, 'src/console/screenshot.png')

const tweets = [
  'First light over the harbour. The ferry was early, and so was I.',
  'New on the blog: how we keep a thousand refresh tokens alive without losing one. https://example.com/blog/keeping-tokens-alive',
]

await using data = await makeTemporaryDirectory('screenshot')
const port = await findFreePort()
const url = `http://127.0.0.1:${port}`
const environment = {
  PORT: String(port),
  SANDBOX_PORT: String(await findFreePort()),
  DATA_DIR: data.path,
  SANDBOX: 'on',
}
const gateway = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'src/main.ts'], {
  cwd: root,
  env: { PATH: process.env.PATH, ...environment },
  stdio: ['ignore', 'ignore', 'inherit'],
})
try {
  while (!(await isReady())) await sleep(100)
  await using browser = await launchChromium()
  // For screens of high resolution. A factor of 2 would give a file of over 200 KB.
  const page = await browser.newPage({ viewport: { width: 1080, height: 820 }, deviceScaleFactor: 1.5 })
  await fillConsole(page)
  await page.screenshot({ path: target })
  console.log(`Wrote ${path.relative(root, target)}`)
} finally {
  gateway.kill()
  await once(gateway, 'exit')
}

async function isReady(): Promise<boolean> {
  if (gateway.exitCode !== null) throw new Error(`The gateway ended with ${gateway.exitCode}`)
  return fetch(`${url}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )
}

async function fillConsole(page: Page): Promise<void> {
  await page.goto(url)
  await page.getByRole('link', { name: 'Sign in with GitHub' }).click()
  await page.getByRole('button', { name: 'Authorize' }).click()
  for (const account of ['Harbour Bakery', 'Mara Holt']) {
    await page.getByRole('button', { name: 'Connect an X account' }).click()
    await page.getByRole('radio', { name: account }).check()
    await page.getByRole('button', { name: 'Authorize app' }).click()
    await page.getByText('is connected.').waitFor()
  }
  const field = page.getByRole('textbox', { name: 'Text' })
  for (const tweet of tweets) {
    await field.fill(tweet)
    await page.getByRole('button', { name: 'Post', exact: true }).click()
    await page.getByRole('listitem').filter({ hasText: tweet }).waitFor()
  }
  await page.reload()
  await field.fill('Cardamom buns at seven. Gone by ten, as ever.')
  await page.locator('.author img').waitFor()
}
