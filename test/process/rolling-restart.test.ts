// Instances that are replaced one after the other while clients send requests, in production's
// configuration.
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { expect, test, vi } from 'vitest'
import { cookieOf, openBrowser } from '../support/browser.ts'
import { findFreePort } from '../support/free-port.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { generousLimits } from '../support/generous-limits.ts'
import { describeWithProgram } from '../support/installed-program.ts'
import { startNginx } from '../support/nginx.ts'
import { readOperation } from '../support/operations.ts'
import { createSandboxSite } from '../support/sandbox-site.ts'
import { makeCertificate } from '../support/tls.ts'

const REQUESTS = 10_000
const CLIENTS = 20
// X accepts 100 of an account in 15 minutes.
const POSTS = 90
const POST_EVERY = 100
// Kubernetes sends SIGKILL 30 s after SIGTERM.
const GRACE_MILLISECONDS = 30_000

async function stopWithinGrace(gateway: GatewayProcess): Promise<number | NodeJS.Signals> {
  const timer = setTimeout(() => gateway.signal('SIGKILL'), GRACE_MILLISECONDS)
  const ended = await gateway.stop()
  clearTimeout(timer)
  return ended
}

describeWithProgram('nginx', 'two instances behind deploy/nginx.conf', () => {
  test('are restarted in turn under 10,000 requests without a failed one', { timeout: 240_000 }, async () => {
    await using resources = new AsyncDisposableStack()
    const [port, ...ports] = [await findFreePort(), await findFreePort(), await findFreePort()]
    const publicUrl = `https://127.0.0.1:${port}`
    const { sandbox, environment } = await createSandboxSite(resources, publicUrl)
    const start = (own: number) =>
      startGatewayProcess({
        ...environment,
        NODE_ENV: 'production',
        RATE_LIMITS: generousLimits,
        TRUSTED_PROXIES: '127.0.0.1',
        PORT: String(own),
      })
    const running = ports.map((own) => ({ own, gateway: start(own) }))
    const isReady = ({ own, gateway }: { own: number; gateway: GatewayProcess }) =>
      gateway.ready(`http://127.0.0.1:${own}`)
    resources.defer(async () => void (await Promise.all(running.map(({ gateway }) => gateway.kill()))))
    await Promise.all(running.map(isReady))

    const certificate = await makeCertificate(['gateway.example.com'])
    const nginx = resources.use(
      await startNginx({ port, certificate, instances: ports.map((own) => `127.0.0.1:${own}`) }),
    )
    const agent = new Agent({ connect: { ca: certificate.cert } })
    const person = openBrowser(publicUrl, 'rolling restart', agent)
    resources.defer(() => person.close())
    await person.signIn('mara-holt')
    expect(await person.connect('maraholt')).toMatchObject({ outcome: 'connected' })

    const headers = { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', ...cookieOf(person) }
    const failures: string[] = []
    let sent = 0
    let posted = 0
    const send = async (body: object) => {
      sent += 1
      try {
        const response = await request(`${publicUrl}/graphql`, {
          ...{ method: 'POST', headers, body: JSON.stringify(body), dispatcher: agent },
        })
        const text = await response.body.text()
        if (response.statusCode !== 200 || /"errors"|"code"/.test(text)) failures.push(`${response.statusCode} ${text}`)
      } catch (error) {
        failures.push(String(error))
      }
    }
    let isOver = false
    const client = async (number: number) => {
      for (let turn = 0; !isOver || sent < REQUESTS; turn++) {
        if (posted < POSTS && (turn * CLIENTS + number) % POST_EVERY === 0) {
          posted += 1
          const input = { text: `Number ${turn} of client ${number}` }
          await send({ query: readOperation('post-tweet'), variables: { input } })
        } else await send({ query: '{ viewer { id } connectedAccounts { username status } }' })
        // Clients that never pause would take all of the processors, and leave no connection idle.
        await sleep(20)
      }
    }
    const clients = Array.from({ length: CLIENTS }, (_, number) => client(number))
    const ends: (number | NodeJS.Signals)[] = []
    for (const one of running) {
      await vi.waitFor(() => expect(sent % 500).toBeGreaterThan(100), { timeout: 60_000 })
      ends.push(await stopWithinGrace(one.gateway))
      one.gateway = start(one.own)
      await isReady(one)
    }
    isOver = true
    await Promise.all(clients)

    expect(ends).toEqual([0, 0])
    expect(failures.slice(0, 10)).toEqual([])
    expect(await nginx.readErrors()).not.toMatch(/reset by peer|prematurely closed/)
    expect(sent).toBeGreaterThanOrEqual(REQUESTS)
    expect(sandbox.control.tweets('maraholt')).toHaveLength(posted)
  })
})

test('a connection that is idle when the listener closes gets a response to its next request', async () => {
  await using resources = new AsyncDisposableStack()
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const { environment } = await createSandboxSite(resources, url)
  const gateway = startGatewayProcess({ ...environment, NODE_ENV: 'production', PORT: String(port) })
  resources.defer(async () => void (await gateway.kill()))
  await gateway.ready(url)
  const agents = Array.from({ length: 8 }, () => new Agent({ connections: 1 }))
  resources.defer(async () => void (await Promise.all(agents.map((agent) => agent.close()))))
  const ask = async (dispatcher: Agent) => {
    const { statusCode, headers, body } = await request(`${url}/healthz`, { dispatcher })
    await body.dump()
    return { statusCode, connection: headers.connection }
  }
  expect(await Promise.all(agents.map(ask))).toEqual(Array(8).fill({ statusCode: 200, connection: 'keep-alive' }))

  const stopped = stopWithinGrace(gateway)
  const isRefused = async () => {
    const newcomer = new Agent({ connections: 1 })
    const refused = await ask(newcomer).then(
      () => false,
      (error) => error.code === 'ECONNREFUSED',
    )
    await newcomer.close()
    return refused
  }
  await vi.waitFor(async () => expect(await isRefused()).toBe(true), { timeout: 20_000, interval: 50 })
  // On the connections that were open before: another could not be opened.
  expect(await Promise.all(agents.map(ask))).toEqual(Array(8).fill({ statusCode: 200, connection: 'close' }))
  expect(await stopped).toBe(0)
})
