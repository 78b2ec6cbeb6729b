import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type Server } from 'node:net'
import { describe, expect, test } from 'vitest'
import { OutboundError } from '../../src/outbound/provider-calls.ts'
import {
  createWebhookEgress,
  type EgressPolicy,
  EgressRefusedError,
  isPublicAddress,
  type ResolveHost,
} from '../../src/outbound/webhook-egress.ts'
import { closeServer, listenLocally } from '../support/local-server.ts'

// IANA's special-purpose registries, and internal addresses of cloud platforms.
const INSIDE = [
  ...[
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '10.255.255.255',
    '100.64.0.1',
    '100.100.100.200',
    '127.0.0.1',
    '127.255.255.254',
  ],
  ...['168.63.129.16', '169.254.0.1', '169.254.169.254', '169.254.170.2', '172.16.0.1', '172.31.255.255', '192.0.0.1'],
  ...['192.0.0.192', '192.0.2.1', '192.31.196.1', '192.52.193.1', '192.88.99.1', '192.168.0.1', '192.168.255.255'],
  ...['192.175.48.1', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.255'],
  ...['240.0.0.1', '255.255.255.255', '::', '::1', '::127.0.0.1', '::10.0.0.1', '::ffff:127.0.0.1', '::ffff:8.8.8.8'],
  ...['::ffff:0:127.0.0.1', '64:ff9b::7f00:1', '64:ff9b::8.8.8.8', '64:ff9b:1::1', '100::1', '2001::1', '2001:2::1'],
  ...['2001:10::1', '2001:20::1', '2001:db8::1', '2002:7f00:1::', '3fff::1', '5f00::1', 'fc00::1', 'fd00:ec2::254'],
  ...['fd12:3456::1', 'fe80::1', 'fe80::1%eth0', 'febf::1', 'fec0::1', 'ff02::1', 'ff0e::1', '4000::1', '1::1'],
]
const OUTSIDE = [
  '1.1.1.1',
  '8.8.8.8',
  '93.184.216.34',
  '172.15.0.1',
  '172.32.0.1',
  '100.63.0.1',
  '2606:4700::1111',
  '2a00:1450::1',
]

describe('W-03 an address', () => {
  test.each(INSIDE)('%s is not public', (address) => expect(isPublicAddress(address)).toBe(false))
  test.each(OUTSIDE)('%s is public', (address) => expect(isPublicAddress(address)).toBe(true))
  test.each(['', 'localhost', '256.1.1.1', '1.1.1.1/8', '[::1]'])('"%s" is not an address', (text) =>
    expect(isPublicAddress(text)).toBe(false),
  )
})

/** Returns a resolver that gives these results in turn, then the last one, and counts its calls. */
function resolver(...responses: string[][]): ResolveHost & { asked: string[] } {
  const asked: string[] = []
  const resolve = async (hostname: string) => {
    asked.push(hostname)
    return responses[Math.min(asked.length, responses.length) - 1] ?? []
  }
  return Object.assign(resolve, { asked })
}

const PUBLIC_ADDRESS = '93.184.216.34'

function open(policy: EgressPolicy, resolveHost: ResolveHost = resolver([PUBLIC_ADDRESS]), deadlineSeconds = 5) {
  const webhookEgress = createWebhookEgress({ policy, deadlineSeconds, resolveHost })
  return Object.assign(webhookEgress, { [Symbol.asyncDispose]: () => webhookEgress.close() })
}

async function listen(server: Server | ReturnType<typeof createHttpServer>) {
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  return {
    port: await listenLocally(server),
    connections: () => connections,
    [Symbol.asyncDispose]: () => closeServer(server),
  }
}

const receive = (listener: RequestListener) => listen(createHttpServer(listener))

describe('W-03 a URL', () => {
  test.each([
    ...['https://hooks.example.com/', 'https://hooks.example.com:8443/a?b=c', 'https://93.184.216.34/'],
    ...['https://[2606:4700::1111]/hook', 'HTTPS://Hooks.Example.Com./', 'https://bücher.example/'],
  ])('%s is called', async (url) => {
    await using webhookEgress = open('PUBLIC')
    expect(await webhookEgress.check(url)).toBe(new URL(url).href)
  })

  test.each([
    // Not https, not a URL, or with a part that is not allowed.
    ...['', 'hooks.example.com', '//hooks.example.com', 'http://hooks.example.com/', 'ftp://hooks.example.com/'],
    ...['file:///etc/passwd', 'gopher://hooks.example.com:70/_', 'data:text/plain,x', 'javascript:alert(1)'],
    ...['https://user@hooks.example.com/', 'https://user:password@hooks.example.com/', 'https://:p@hooks.example.com/'],
    ...['https://hooks.example.com:22/', 'https://hooks.example.com:6379/', 'https://hooks.example.com:80/'],
    `https://hooks.example.com/${'a'.repeat(2_000)}`,
    // This machine, its network, and metadata services of clouds, in every notation.
    ...['https://localhost/', 'https://LOCALHOST/', 'https://127.0.0.1/', 'https://127.1/', 'https://127.0.0.1./'],
    ...[
      'https://2130706433/',
      'https://0x7f000001/',
      'https://0x7f.0.0.1/',
      'https://017700000001/',
      'https://0177.0.0.1/',
    ],
    ...['https://0/', 'https://0.0.0.0/', 'https://[::]/', 'https://[::1]/', 'https://[0:0:0:0:0:0:0:1]/'],
    ...[
      'https://[::ffff:127.0.0.1]/',
      'https://[::ffff:7f00:1]/',
      'https://[::127.0.0.1]/',
      'https://[64:ff9b::7f00:1]/',
    ],
    ...[
      'https://169.254.169.254/latest/meta-data/',
      'https://2852039166/',
      'https://0xa9fea9fe/',
      'https://[fd00:ec2::254]/',
    ],
    ...['https://[::ffff:169.254.169.254]/', 'https://10.0.0.1/', 'https://192.168.1.1:8443/', 'https://172.16.0.1/'],
    ...[
      'https://100.64.0.1/',
      'https://[fe80::1]/',
      'https://[fc00::1]/',
      'https://224.0.0.1/',
      'https://255.255.255.255/',
    ],
    ...['https://１２７.0.0.1/', 'https://127。0。0。1/', 'https://①②⑦.0.0.1/', 'https://%31%32%37.0.0.1/'],
  ])('%s is refused by the check and by the call', async (url) => {
    const resolveHost = resolver([PUBLIC_ADDRESS])
    await using webhookEgress = open('PUBLIC', resolveHost)
    await expect(webhookEgress.check(url)).rejects.toThrow(EgressRefusedError)
    expect(await webhookEgress.post(url, {}, '')).toMatchObject({
      ok: false,
      error: expect.any(EgressRefusedError),
      report: { sent: false, status: null },
    })
    expect(resolveHost.asked).toEqual([])
  })

  test.each([
    ['inside', ['10.0.0.1']],
    ['an internal IPv6 address', ['::1']],
    ['an internal and a public address', [PUBLIC_ADDRESS, '127.0.0.1']],
    ['nowhere', []],
    ['nonsense', ['hooks.example.com']],
  ])('whose name resolves to %s is refused, always with the same message', async (_, addresses) => {
    await using webhookEgress = open('PUBLIC', resolver(addresses))
    await expect(webhookEgress.check('https://hooks.example.com/')).rejects.toThrow(
      new EgressRefusedError('The host must resolve to public addresses only.'),
    )
    expect(await webhookEgress.post('https://hooks.example.com/', {}, '')).toMatchObject({
      ok: false,
      error: expect.any(EgressRefusedError),
      report: { sent: false, status: null },
    })
  })

  test('whose name cannot be resolved is refused with the same message', async () => {
    await using webhookEgress = open('PUBLIC', () => Promise.reject(new Error('ESERVFAIL inside.example')))
    await expect(webhookEgress.check('https://hooks.example.com/')).rejects.toThrow(
      new EgressRefusedError('The host must resolve to public addresses only.'),
    )
  })

  test('of this machine is called only with the policy LOOPBACK, and of its network never', async () => {
    await using receiver = await receive((_, response) => response.writeHead(204).end())
    await using webhookEgress = open('LOOPBACK')
    for (const host of ['127.0.0.1', '2130706433'])
      expect(await webhookEgress.post(`http://${host}:${receiver.port}/`, {}, '')).toMatchObject({
        report: { status: 204 },
      })
    for (const url of [
      'http://10.0.0.1/',
      'https://10.0.0.1/',
      'http://hooks.example.com/',
      'https://169.254.169.254/',
    ])
      await expect(webhookEgress.check(url)).rejects.toThrow(EgressRefusedError)
    expect(receiver.connections()).toBe(2)
  })
})

describe('W-03 a name that resolves differently', () => {
  test('after the check is refused by the call, without a connection', async () => {
    await using receiver = await receive((_, response) => response.end())
    const resolveHost = resolver([PUBLIC_ADDRESS], ['127.0.0.1'])
    await using webhookEgress = open('PUBLIC', resolveHost)
    await webhookEgress.check('https://rebinding.example:8443/')
    expect(await webhookEgress.post('https://rebinding.example:8443/', {}, '')).toMatchObject({
      ok: false,
      error: expect.any(EgressRefusedError),
      report: { sent: false },
    })
    expect([resolveHost.asked.length, receiver.connections()]).toEqual([2, 0])
  })

  test('during a call is not resolved again: the socket connects to the checked address', async () => {
    await using receiver = await listen(createTcpServer((socket) => socket.destroy()))
    const resolveHost = resolver(['127.0.0.1'], ['169.254.169.254'])
    await using webhookEgress = open('LOOPBACK', resolveHost)
    const result = await webhookEgress.post(`https://rebinding.example:${receiver.port}/`, {}, 'x')
    expect(result).toMatchObject({ ok: false, report: { sent: false, status: null } })
    expect([resolveHost.asked, receiver.connections()]).toEqual([['rebinding.example'], 1])
  })
})

describe('a response', () => {
  const reasonOf = (result: { ok: boolean; error?: unknown }) =>
    result.error instanceof OutboundError ? result.error.reason : null

  test('is reported by its status, and arrives over a new connection', async () => {
    const seen: string[] = []
    await using receiver = await receive((request, response) => {
      let body = ''
      request.on('data', (chunk) => {
        body += chunk
      })
      request.on('end', () => {
        seen.push(`${request.method} ${request.headers['x-name']} ${body}`)
        response.writeHead(202).end('thanks')
      })
    })
    await using webhookEgress = open('LOOPBACK')
    for (const number of [1, 2])
      expect(
        await webhookEgress.post(`http://127.0.0.1:${receiver.port}/`, { 'x-name': 'a' }, `{"number":${number}}`),
      ).toEqual({
        ok: true,
        value: undefined,
        report: { sent: true, status: 202, headers: expect.anything() },
      })
    expect(seen).toEqual(['POST a {"number":1}', 'POST a {"number":2}'])
    expect(receiver.connections()).toBe(2)
  })

  test.each([301, 302, 303, 307, 308])('%i to an internal address is not followed', async (status) => {
    await using inside = await receive((_, response) => response.end())
    await using receiver = await receive((_, response) =>
      response.writeHead(status, { location: `http://127.0.0.1:${inside.port}/admin` }).end(),
    )
    await using webhookEgress = open('LOOPBACK')
    const result = await webhookEgress.post(`http://127.0.0.1:${receiver.port}/`, {}, '')
    expect([reasonOf(result), result.report.status, inside.connections()]).toEqual(['REDIRECT', status, 0])
  })

  test('without an end is reported by its status, and aborted after a few kilobytes', async () => {
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    let written = 0
    await using receiver = await receive((_, response) => {
      const write = () => {
        while (!response.destroyed && response.write('x'.repeat(1024))) written += 1024
      }
      response.on('drain', write)
      response.on('close', resolve)
      write()
    })
    await using webhookEgress = open('LOOPBACK')
    const result = await webhookEgress.post(`http://127.0.0.1:${receiver.port}/`, {}, '')
    expect(result.report.status).toBe(200)
    await closed
    // No more than the sockets' buffers hold.
    expect(written).toBeLessThan(32 * 1024 * 1024)
  })

  test('that does not arrive ends at the deadline', async () => {
    await using receiver = await receive(() => {})
    await using webhookEgress = open('LOOPBACK', resolver([]), 0.3)
    expect(reasonOf(await webhookEgress.post(`http://127.0.0.1:${receiver.port}/`, {}, ''))).toBe('DEADLINE')
  })
})
