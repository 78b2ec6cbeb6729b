import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Worker } from 'node:worker_threads'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type CallResult,
  callProvider,
  installOutbound,
  noCircuitBreaker,
  OutboundError,
  readJson,
} from '../../src/outbound/provider-calls.ts'
import { findFreePort } from '../support/free-port.ts'
import { closeServer, listenLocally } from '../support/local-server.ts'

const DEADLINE_SECONDS = 0.6
const LIMIT_BYTES = 64 * 1024

type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

let outbound: ReturnType<typeof installOutbound>
beforeAll(() => {
  outbound = installOutbound(DEADLINE_SECONDS)
})
afterAll(() => outbound.close())

/** A provider for one test. */
async function startProvider(handle: RequestHandler) {
  const requests: IncomingMessage[] = []
  let connections = 0
  const server = createServer((request, response) => {
    requests.push(request)
    handle(request, response)
  })
  server.on('connection', () => {
    connections += 1
  })
  return {
    url: `http://127.0.0.1:${await listenLocally(server)}`,
    requests,
    connections: () => connections,
    [Symbol.asyncDispose]: () => closeServer(server),
  }
}

function call(url: string, init?: RequestInit): Promise<CallResult<string>> {
  return callProvider(noCircuitBreaker, async () => (await fetch(url, init)).text())
}

function reasonOf(result: CallResult<unknown>): string | null {
  for (let error = result.ok ? null : result.error; error instanceof Error; error = error.cause)
    if (error instanceof OutboundError) return error.reason
  return null
}

test('a response is returned with its status and headers, over a new connection', async () => {
  await using provider = await startProvider((_, response) => response.writeHead(403, { 'x-limit': '7' }).end('no'))
  for (let number = 1; number <= 3; number++) {
    const result = await call(provider.url, { method: 'POST', body: 'x' })
    expect(result).toMatchObject({
      ok: true,
      value: 'no',
      report: { sent: true, status: 403, headers: { 'x-limit': '7' } },
    })
    expect(provider.connections()).toBe(number)
  }
  expect(provider.requests.map(({ headers }) => headers['accept-encoding'])).toEqual(Array(3).fill('identity'))
})

describe('T-02 the deadline', () => {
  test('ends a call without a response', async () => {
    await using provider = await startProvider(() => {})
    const result = await call(provider.url)
    expect([result.ok, reasonOf(result), result.report]).toEqual([
      false,
      'DEADLINE',
      { sent: true, status: null, headers: {} },
    ])
  })

  test('ends a response that never ends', async () => {
    await using provider = await startProvider((_, response) => {
      const timer = setInterval(() => response.write('.'), 50)
      response.on('close', () => clearInterval(timer))
    })
    const result = await call(provider.url)
    expect([result.ok, reasonOf(result), result.report.status]).toEqual([false, 'DEADLINE', 200])
  })

  // The provider runs in another thread, and responds while this one is blocked.
  async function stallDuringCall(responds: boolean): Promise<CallResult<string>> {
    const worker = new Worker(
      `const { createServer } = require('node:http')
       const { parentPort } = require('node:worker_threads')
       createServer((request, response) => {
         parentPort.postMessage('received')
         if (${responds}) setTimeout(() => response.end('in time'), 50)
       }).listen(0, '127.0.0.1', function () { parentPort.postMessage(this.address().port) })`,
      { eval: true },
    )
    try {
      const [port] = await once(worker, 'message')
      const calling = call(`http://127.0.0.1:${port}`)
      await once(worker, 'message')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200)
      return await calling
    } finally {
      await worker.terminate()
    }
  }

  test('that passed while this process was stalled does not discard a response that has arrived', async () => {
    expect(await stallDuringCall(true)).toMatchObject({ ok: true, value: 'in time' })
  })

  test('that passed during a stall still ends a call without a response', async () => {
    expect(reasonOf(await stallDuringCall(false))).toBe('DEADLINE')
  })
})

test.each([300, 301, 302, 303, 304, 307, 308])('T-01 a redirect is never followed: %i', async (status) => {
  await using elsewhere = await startProvider((_, response) => response.end())
  await using provider = await startProvider((_, response) =>
    response.writeHead(status, { location: elsewhere.url }).end(),
  )
  const result = await call(provider.url, { method: 'POST', body: 'token=secret' })
  expect([reasonOf(result), result.report.status]).toEqual(['REDIRECT', status])
  expect(elsewhere.requests).toEqual([])
})

describe('T-03 a response', () => {
  test('of 64 KiB is accepted, and of one byte more it is not', async () => {
    await using provider = await startProvider(({ url }, response) => {
      const [, size = '', chunked] = url?.split('/') ?? []
      const body = Buffer.alloc(Number(size), 'x')
      if (chunked === undefined) response.setHeader('content-length', body.length)
      response.write(body)
      response.end()
    })
    for (const form of ['', '/chunked']) {
      const whole = await call(`${provider.url}/${LIMIT_BYTES}${form}`)
      expect(whole.ok && whole.value.length).toBe(LIMIT_BYTES)
      const over = await call(`${provider.url}/${LIMIT_BYTES + 1}${form}`)
      expect([reasonOf(over), over.report]).toMatchObject(['TOO_LARGE', { sent: true, status: 200 }])
    }
  })

  test.each([
    ['/2/tweets', true],
    ['/2/tweets/1799000000000000123', true],
    ['/2/users/12/tweets?max_results=10', true],
    ['/2/users/me?user.fields=name', false],
    ['/2/oauth2/token', false],
    ['/2/tweetsX', false],
  ])('with posts may have up to 4 MiB: %s %s', async (path, isLarge) => {
    const most = 4 * 1024 * 1024
    let bytes = most
    await using provider = await startProvider((_, response) => response.end(Buffer.alloc(bytes, 'x')))
    const whole = await call(`${provider.url}${path}`)
    expect(whole.ok).toBe(isLarge)
    bytes = most + 1
    expect(reasonOf(await call(`${provider.url}${path}`))).toBe('TOO_LARGE')
  })

  test('without an end is aborted at the limit', async () => {
    let sent = 0
    await using provider = await startProvider((_, response) => {
      const more = () => {
        if (response.destroyed) return
        sent += LIMIT_BYTES
        if (response.write(Buffer.alloc(LIMIT_BYTES))) setImmediate(more)
        else response.once('drain', more)
      }
      more()
    })
    expect(reasonOf(await call(provider.url))).toBe('TOO_LARGE')
    // The system's buffers may hold more than the limit.
    expect(sent).toBeLessThan(50 * 1024 * 1024)
  })

  test.each(['gzip', 'br', 'deflate', 'x-odd', 'GZIP'])('that is compressed is refused: %s', async (encoding) => {
    await using provider = await startProvider((_, response) =>
      response.writeHead(200, { 'content-encoding': encoding }).end(gzipSync('{}')),
    )
    expect(reasonOf(await call(provider.url))).toBe('ENCODED')
  })

  test('with the content encoding identity is accepted', async () => {
    await using provider = await startProvider((_, response) =>
      response.writeHead(200, { 'content-encoding': 'identity' }).end('{}'),
    )
    expect(await call(provider.url)).toMatchObject({ ok: true, value: '{}' })
  })
})

describe('a report says whether the request may have arrived', () => {
  test('it may when the connection is closed before the response', async () => {
    await using provider = await startProvider((request) => request.socket.destroy())
    expect(await call(provider.url)).toMatchObject({ ok: false, report: { sent: true, status: null } })
  })

  test('it may when the connection is closed in the middle of the response', async () => {
    await using provider = await startProvider((request, response) => {
      response.writeHead(200, { 'content-length': 100 })
      response.write('half', () => request.socket.destroy())
    })
    expect(await call(provider.url)).toMatchObject({ ok: false, report: { sent: true, status: 200 } })
  })

  test('it has not when no server listens', async () => {
    const port = await findFreePort()
    expect(await call(`http://127.0.0.1:${port}`)).toMatchObject({ ok: false, report: { sent: false, status: null } })
  })

  test('it has not when the host name is unknown', async () => {
    expect(await call('http://nobody.invalid')).toMatchObject({ ok: false, report: { sent: false, status: null } })
  })

  test('it has not when the TLS handshake fails', async () => {
    await using provider = await startProvider((_, response) => response.end())
    const result = await call(provider.url.replace('http:', 'https:'))
    expect(result).toMatchObject({ ok: false, report: { sent: false, status: null } })
    expect(provider.requests).toEqual([])
  })
})

test('concurrent calls have separate reports', async () => {
  await using provider = await startProvider(({ url }, response) => {
    setTimeout(() => response.writeHead(200 + Number(url?.slice(1))).end(), Math.random() * 50)
  })
  const results = await Promise.all(Array.from({ length: 40 }, (_, number) => call(`${provider.url}/${number + 10}`)))
  expect(results.map(({ report }) => report.status)).toEqual(Array.from({ length: 40 }, (_, number) => 210 + number))
})

test('T-03 E-08 the error for a response that is not JSON quotes nothing of it', async () => {
  const result = await callProvider(noCircuitBreaker, () =>
    readJson(new Response('secret-token-0123', { status: 201 })),
  )
  expect(result).toMatchObject({ ok: false, error: { message: 'The response with status 201 is not JSON.' } })
})
