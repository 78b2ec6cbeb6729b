// A gateway in a network whose only way out is a proxy, with its own certificate authority.
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startSandbox } from '../../src/sandbox/server.ts'
import { openBrowser } from '../support/browser.ts'
import { createTestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { makeCertificate, passTo, startConnectProxy, startHttps } from '../support/tls.ts'
import { xconnect } from '../support/xconnect.ts'

const GITHUB = 'github.test'
const X = 'x.test'
const PASSWORD = 'proxy-password-that-nobody-may-read'

async function openNetwork(certificateOptions: Parameters<typeof makeCertificate>[1] = {}, hosts = [GITHUB, X]) {
  const url = `http://127.0.0.1:${await findFreePort()}`
  const sandbox = await startSandbox({
    hostname: 'localhost',
    githubClient: { id: 'github', secret: 'github-secret', redirectUris: [`${url}/auth/github/callback`] },
    xClient: { id: 'x', secret: 'x-secret', redirectUris: [`${url}/auth/x/callback`] },
  })
  onTestFinished(() => sandbox.close())
  const certificate = await makeCertificate(hosts, certificateOptions)
  const providers = await startHttps(certificate, passTo(sandbox.url))
  const proxy = await startConnectProxy()
  const database = await createTestDatabase('postgres')
  onTestFinished(async () => {
    await proxy[Symbol.asyncDispose]()
    await providers[Symbol.asyncDispose]()
    await database.remove()
  })
  const certificateFile = path.join(database.dataDir, 'authority.pem')
  writeFileSync(certificateFile, certificate.cert)
  const [github, x] = [GITHUB, X].map((host) => `https://${host}:${providers.port}`)
  sandbox.control.setGithubUrl(github ?? null)
  return {
    url,
    sandbox,
    proxy,
    providers,
    certificateFile,
    environment: {
      ...database.environment,
      PORT: new URL(url).port,
      SANDBOX: 'off',
      GITHUB_CLIENT_ID: 'github',
      GITHUB_CLIENT_SECRET: 'github-secret',
      GITHUB_URL: github ?? '',
      GITHUB_API_URL: github ?? '',
      X_CLIENT_ID: 'x',
      X_CLIENT_SECRET: 'x-secret',
      X_URL: x ?? '',
      X_API_URL: x ?? '',
      HTTPS_PROXY: proxy.url.replace('//', `//gateway:${PASSWORD}@`),
    },
  }
}

async function doctor(environment: Record<string, string>): Promise<string[]> {
  const { stdout } = await xconnect(environment, 'doctor')
  return stdout.trimEnd().split('\n')
}

test('users sign in and connect through HTTPS_PROXY, at hosts that only the proxy can resolve', async () => {
  const network = await openNetwork()
  const { url, sandbox, proxy, providers, certificateFile } = network
  const gateway = startGatewayProcess({ ...network.environment, NODE_EXTRA_CA_CERTS: certificateFile })
  onTestFinished(async () => void (await gateway.kill()))
  await gateway.ready(url)
  const person = openBrowser(url)
  onTestFinished(() => person.close())
  // The user's browser reaches the providers directly.
  const consent = (authorizationUrl: string | null, account: string) =>
    person.consent((authorizationUrl ?? '').replace(/^https:\/\/[^/]+/, sandbox.url), account)
  const start = await person.request('/auth/github')
  const signedIn = await person.finish(await consent(start.headers.get('location'), 'mara-holt'))
  expect(signedIn).toMatchObject({ outcome: 'succeeded' })
  const { authorizationUrl } = await person.startXConnect()
  expect(await person.finish(await consent(authorizationUrl, 'maraholt'))).toMatchObject({ outcome: 'connected' })
  const authorization = `Basic ${Buffer.from(`gateway:${PASSWORD}`).toString('base64')}`
  expect(proxy.tunnels).toEqual(
    [GITHUB, GITHUB, X, X].map((host) => ({ target: `${host}:${providers.port}`, authorization })),
  )
  // A proxy that does not respond is an outage of the provider.
  proxy.behave('silent')
  const again = await person.request('/auth/github')
  expect(await person.finish(await consent(again.headers.get('location'), 'mara-holt'))).toMatchObject({
    outcome: 'failed',
    code: 'GITHUB_UNAVAILABLE',
  })
  await gateway.stop()
  expect(gateway.output()).not.toContain(PASSWORD)
})

test('doctor checks through the proxy, and calls the hosts of NO_PROXY directly', async () => {
  const { environment, proxy, certificateFile, providers } = await openNetwork()
  const lines = await doctor({ ...environment, NODE_EXTRA_CA_CERTS: certificateFile, NO_PROXY: X })
  expect(lines).toContainEqual(expect.stringMatching(/^ok +GitHub: https:\/\/github\.test:\d+ responds$/))
  expect(lines).toContainEqual(expect.stringMatching(/^FAIL +X: https:\/\/x\.test:\d+ cannot be reached/))
  expect(proxy.tunnels.map(({ target }) => target)).toEqual([`${GITHUB}:${providers.port}`])
})

test.each<[string, Parameters<typeof openNetwork>, RegExp]>([
  [
    'that no known authority signed',
    [],
    /signed by an authority that this machine does not trust\. Set NODE_EXTRA_CA_CERTS/,
  ],
  ['that has expired', [{ expired: true }], /certificate has expired\. Renew it/],
  ['of another host', [{}, ['elsewhere.test']], /is for another host/],
])('doctor names the fault of a certificate %s', async (_fault, options, sentence) => {
  const { environment, certificateFile } = await openNetwork(...options)
  const isKnown = options.length > 0
  const lines = await doctor({ ...environment, ...(isKnown && { NODE_EXTRA_CA_CERTS: certificateFile }) })
  for (const name of ['GitHub', 'X']) {
    const line = lines.find((line) => line.startsWith(`FAIL         ${name}: `))
    expect(line).toMatch(sentence)
    expect(line).toContain('through the proxy http://127.0.0.1:')
  }
  expect(lines.join('\n')).not.toContain(PASSWORD)
})

test('doctor names a proxy that refuses', async () => {
  const { environment, certificateFile, proxy } = await openNetwork()
  proxy.behave('refuse')
  const lines = await doctor({ ...environment, NODE_EXTRA_CA_CERTS: certificateFile })
  expect(lines).toContainEqual(expect.stringMatching(/^FAIL +X: .*the proxy refused the connection\. Check its rules/))
})
