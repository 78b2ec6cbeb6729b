// The rules of outgoing calls apply through a proxy too.
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  type CallResult,
  callProvider,
  installOutbound,
  noCircuitBreaker,
  OutboundError,
} from '../../src/outbound/provider-calls.ts'
import { type ConnectProxy, makeCertificate, startConnectProxy, startHttps } from '../support/tls.ts'

const HOST = 'provider.test'

let server: Awaited<ReturnType<typeof startHttps>>
let proxy: ConnectProxy
let outbound: ReturnType<typeof installOutbound>
const before = getCACertificates('default')

beforeAll(async () => {
  const certificate = await makeCertificate([HOST])
  setDefaultCACertificates([...before, certificate.cert])
  server = await startHttps(certificate, ({ url }, response) => {
    if (url === '/hangs') return
    if (url === '/large') response.end(Buffer.alloc(64 * 1024 + 1))
    else if (url === '/elsewhere') response.writeHead(302, { location: 'https://127.0.0.1/' }).end()
    else response.end('there')
  })
})
afterAll(async () => {
  setDefaultCACertificates(before)
  await server[Symbol.asyncDispose]()
})
beforeEach(async () => {
  proxy = await startConnectProxy()
  outbound = installOutbound(0.6, { url: proxy.url.replace('//', '//name:pass%20word@'), except: 'direct.test' })
})
afterEach(async () => {
  await proxy[Symbol.asyncDispose]()
  await outbound.close()
})

const call = (path: string, host = HOST): Promise<CallResult<string>> =>
  callProvider(noCircuitBreaker, async () =>
    (await fetch(`https://${host}:${server.port}${path}`, { method: 'POST' })).text(),
  )

function reasonOf(result: CallResult<unknown>): string | null {
  for (let error = result.ok ? null : result.error; error instanceof Error; error = error.cause)
    if (error instanceof OutboundError) return error.reason
  return null
}

test('a call uses a new tunnel through the proxy, with the proxy’s user name and password', async () => {
  for (const _ of [1, 2]) expect(await call('/')).toMatchObject({ ok: true, value: 'there', report: { status: 200 } })
  const authorization = `Basic ${Buffer.from('name:pass word').toString('base64')}`
  const tunnel = { target: `${HOST}:${server.port}`, authorization }
  expect(proxy.tunnels).toEqual([tunnel, tunnel])
})

test.each([
  ['/hangs', 'DEADLINE'],
  ['/large', 'TOO_LARGE'],
  ['/elsewhere', 'REDIRECT'],
])('%s is aborted as without a proxy: %s', async (path, reason) => {
  const result = await call(path)
  expect([reasonOf(result), result.report.sent]).toEqual([reason, true])
})

test.each(['refuse', 'silent'] as const)(
  'a proxy that is %s fails the call, and nothing was sent',
  async (behaviour) => {
    proxy.behave(behaviour)
    expect(await call('/')).toMatchObject({ ok: false, report: { sent: false, status: null } })
    expect(proxy.tunnels).toHaveLength(1)
  },
)

test('an unreachable proxy fails the call, and nothing was sent', async () => {
  await proxy[Symbol.asyncDispose]()
  expect(await call('/')).toMatchObject({ ok: false, report: { sent: false, status: null } })
})

test('the certificate must be the provider’s: another host at the end of the tunnel gets no request', async () => {
  expect(await call('/', 'another.test')).toMatchObject({
    ok: false,
    error: { cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } },
    report: { sent: false },
  })
  expect(proxy.tunnels).toHaveLength(1)
})

test('this machine and the hosts in NO_PROXY are called directly', async () => {
  expect(await call('/', '127.0.0.1')).toMatchObject({ ok: true, value: 'there' })
  // Only the proxy can resolve these names.
  for (const host of ['direct.test', 'below.direct.test'])
    expect(await call('/', host)).toMatchObject({ ok: false, report: { sent: false } })
  expect(proxy.tunnels).toEqual([])
})
