import { randomBytes, randomUUID } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSecret } from '../../src/auth/api-token-format.ts'
import { createUserSecret } from '../../src/auth/user-secret.ts'
import { createCodeVerifier, randomToken, seal } from '../../src/crypto.ts'
import { newGithubToken, newXSecret } from '../../src/sandbox/secrets.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { markRedacted, redactText } from '../../src/telemetry/redaction.ts'
import { createWebhookSecret } from '../../src/webhooks/signature.ts'
import { createEarlierSecret } from '../support/earlier-secret.ts'

// The number that is worth its time in every run of the tests; FUZZ_RUNS=100000 tries more.
const RUNS = Number(process.env.FUZZ_RUNS ?? 20_000)

const now = Date.UTC(2026, 10, 24)
const key = randomBytes(32)
const place = { table: 'oauth_tokens', column: 'access_token_sealed', accountId: 'a', userId: 'u' }

/** Secrets that are recognized by their shape, in any place. */
const SHAPED: Record<string, string> = {
  'an access token of X': newXSecret('at', now),
  'a refresh token of X': newXSecret('rt', now),
  'a code of X': newXSecret('ac', now),
  'a token of GitHub': newGithubToken(),
  'a fine-grained token of GitHub': `github_pat_${'1A2b3C4d5E6f7G8h9I0j_1A'}2b3C4d5E6f7G8h9I0jKlMnOp`,
  'an API token of the gateway': createSecret(randomUUID()),
  'an earlier API token': createEarlierSecret(),
  'a session or a state that names its user': createUserSecret(randomUUID()),
  "a webhook's secret": createWebhookSecret(),
  'a session or a state': randomToken(),
  'a code verifier': createCodeVerifier(),
  'an encryption key': key.toString('base64'),
  'a sealed value': seal([{ id: 'k1', secret: key }], place, 'x'),
  'a JSON Web Token': `eyJhbGciOiJub25lIn0.${randomToken(24)}.${randomToken(12)}`,
  'a private key': `-----BEGIN PRIVATE KEY-----\n${randomBytes(48).toString('base64')}\n-----END PRIVATE KEY-----`,
}
// A secret without a recognizable shape: only its name marks it as one.
const PLAIN = 'hunter two, in words'
const SECRET_NAMES = [
  ...['authorization', 'Cookie', 'set-cookie', 'code', 'state', 'code_verifier', 'codeVerifier', 'access_token'],
  ...['accessToken', 'refresh_token', 'client_secret', 'X_CLIENT_SECRET', 'token', 'password', 'previousSecret'],
]

function logged(write: (log: ReturnType<typeof createLog>) => void): string {
  const lines: string[] = []
  write(createLog('debug', { write: (line) => lines.push(line) }))
  for (const line of lines) JSON.parse(line)
  return lines.join('')
}

// Any part of it that is long enough to be useful counts.
function isLeaked(text: string, secret: string): boolean {
  const middle = secret.slice(Math.floor(secret.length / 2) - 6, Math.floor(secret.length / 2) + 6)
  return text.includes(middle) || text.includes(secret.slice(-12))
}

describe('E-07 the log replaces', () => {
  test.each(Object.entries(SHAPED))('%s in any place', (_, secret) => {
    const texts = [secret, `It was ${secret}.`, `"${secret}"`, `/path/${secret}/more`, `a=${secret}&b=c`, `${secret}\n`]
    for (const text of texts) {
      const line = logged((log) => {
        log.info(text)
        log.info({ note: text, deep: { list: [text] }, [text]: 1 }, 'Line %s and %j', text, { text })
        log.child({ note: text }).warn({ error: new Error(text) }, text)
      })
      expect(isLeaked(line, secret), text.replace(secret, '…')).toBe(false)
      expect(line).toContain('[secret]')
    }
  })

  test.each(SECRET_NAMES)('any value with the name %s', (name) => {
    const line = logged((log) => {
      log.info({ [name]: PLAIN, deep: { a: { b: { c: { [name]: [PLAIN] } } } } })
      log.info({ map: new Map([[name, PLAIN]]), list: [{ [name]: { inner: PLAIN } }] })
      log.child({ [name]: PLAIN }).info('of a child')
      log.info('%j', { [name]: PLAIN })
    })
    expect(line).not.toContain('hunter')
  })

  test.each([
    'POST /oauth2/token grant_type=refresh_token&refresh_token=CANARY&client_id=1',
    '{"access_token":"CANARY","token_type":"bearer"}',
    'the answer was {\\"refresh_token\\": \\"CANARY\\"}',
    'authorization: Bearer CANARY',
    'Authorization: Basic CANARY',
    'set-cookie: session=CANARY; Path=/',
    '/auth/x/callback?code=CANARY&state=1',
    'https://gateway.example.com/auth/x/callback?code=CANARY',
    'https://user:CANARY@proxy.example.com/',
    'postgres://user:CANARY@db.example.com:5432/gateway failed',
    'https://api.example.com/path?any=CANARY#more',
  ])('the secret part of a text: %s', (text) => {
    const line = logged((log) => log.error({ text, error: new Error(text, { cause: text }) }, text))
    expect(line).not.toContain('CANARY')
  })

  test('properties that a driver or a client has added to an error, and the parameters of a failed query', () => {
    const line = logged((log) => {
      const error = Object.assign(new Error(`Failed query: select $1\nparams: ${PLAIN}`), {
        params: [PLAIN],
        query: PLAIN,
        request: { body: Buffer.from(PLAIN) },
        cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED', options: { auth: PLAIN } }),
      })
      log.error({ error }, 'It failed')
      log.error(error)
      log.error({ anyName: error })
    })
    expect(line).not.toContain('hunter')
    expect(line.match(/"errorCode":"ECONNREFUSED"/g)).toHaveLength(3)
  })

  test('no error code, also where an error was copied into plain data', () => {
    const codes = ['57P01', '42P01', 'ECONNREFUSED', 'ERR_STREAM_DESTROYED', 'CONNECTION_CLOSED']
    const line = logged((log) => log.warn({ errors: codes.map((code) => ({ code })) }, 'It failed'))
    expect(JSON.parse(line)).toMatchObject({ errors: codes.map((code) => ({ code })) })
  })

  test('nothing else: ids, names, codes, numbers, dates and paths are logged unchanged', () => {
    const fields = {
      requestId: '0b8f7bd6-3a86-4a4e-9a2c-0f3f6f0b8f7b',
      trace: '4bf92f3577b34da6a3ce929d0e0e4736',
      hash: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      operation: 'CreateWebhookEndpoint',
      path: '/auth/github/callback',
      url: 'https://gateway.example.com/hooks/7',
      errorCode: 'X_CREDENTIALS_REJECTED',
      tokens: 3,
      none: null,
      fields: ['connectedAccounts', 'viewer'],
      xTweetId: '1993000000000000001',
    }
    const line = logged((log) =>
      log.info({ ...fields, at: new Date(0) }, 'The client secret was refused: check X_CLIENT_SECRET.'),
    )
    expect(JSON.parse(line)).toMatchObject({
      ...fields,
      at: '1970-01-01T00:00:00.000Z',
      msg: 'The client secret was refused: check X_CLIENT_SECRET.',
    })
  })
})

test('E-07 a value that is circular, throws when it is read, or is very large is logged in part', () => {
  const circle: Record<string, unknown> = { name: 'circle' }
  circle.self = circle
  const error = new Error('its own cause')
  error.cause = error
  const trap = Object.defineProperty({}, 'value', {
    enumerable: true,
    get: () => {
      throw new Error(PLAIN)
    },
  })
  let deep: unknown = PLAIN
  for (let level = 0; level < 10_000; level++) deep = { deep }
  const line = logged((log) => log.info({ circle, error, trap, deep, many: new Array(1e6).fill('x') }, 'logged'))
  expect(line.length).toBeLessThan(10_000)
  expect(line).not.toContain('hunter')
})

test('E-07 a text made of the beginnings of secrets is redacted in linear time', () => {
  const millisecondsOf = (piece: string) => {
    const text = piece.repeat(100_000 / piece.length)
    const startedAt = performance.now()
    redactText(text)
    return performance.now() - startedAt
  }
  const ordinary = millisecondsOf('A word. ')
  const beginnings = ['eyJ', 'eyJa-', 'gho_', 'github_pat_', '-----BEGIN ', '-----BEGIN PRIVATE KEY-----', 'bearer ']
  const others = ['cookie: ', 'cookie\\', 'code=', 'a', 'aA', '1', '_', '-', '/', '+', 'x://', 'x://a@', ' ', '\\', '"']
  // A quadratic pattern would take some thousands of times as long.
  for (const piece of [...beginnings, ...others]) expect(millisecondsOf(piece) / ordinary, piece).toBeLessThan(300)
})

test(`E-07 ${RUNS.toLocaleString('en')} random lines with secrets, at any depth and in any kind of value, contain none`, () => {
  const shaped = fc.constantFrom(...Object.values(SHAPED))
  const harmless = fc.constantFrom('a', 'name', 'body', 'error', 'data', 'items', 'cause', '0', '__proto__', '')
  const wrapped = shaped.chain((secret) =>
    fc.constantFrom<unknown>(
      secret,
      `before ${secret} after`,
      `https://x.example.com/path?q=${secret}`,
      new URL(`https://x.example.com/?code=${encodeURIComponent(secret)}`),
      Buffer.from(secret),
      new TextEncoder().encode(secret),
      new Error(secret),
      new Error('outer', { cause: new Error(`inner ${secret}`) }),
      new AggregateError([new Error(secret), secret, { secret }], 'several'),
      Object.assign(new Error('hung on'), { response: { body: secret }, code: secret, name: secret }),
      JSON.stringify({ access_token: secret }),
      new Map<unknown, unknown>([
        ['key', secret],
        [secret, 'value'],
        [{ deep: secret }, 1],
      ]),
      new Set([secret, [secret]]),
      { toJSON: () => secret },
      { [secret]: secret },
      () => secret,
      Symbol(secret),
    ),
  )
  const named = fc
    .record({ name: fc.constantFrom(...SECRET_NAMES), value: fc.constantFrom<unknown>(PLAIN, [PLAIN], { a: PLAIN }) })
    .map(({ name, value }) => ({ [name]: value }))
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      wrapped,
      named,
      fc.constantFrom<unknown>(null, undefined, 0, 7n, true, 'text', new Date(0)),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(harmless, tie('tree'), { maxKeys: 3 }),
      fc.tuple(harmless, tie('tree')).map(([name, value]) => new Map([[name, value]])),
      tie('tree').map((cause) => new Error('failed', { cause })),
      fc.array(tie('tree'), { maxLength: 2 }).map((errors) => new AggregateError(errors, 'failed')),
    ),
  }))
  const secrets = Object.values(SHAPED)
  let line = ''
  const log = createLog('debug', {
    write: (text) => {
      line += text
    },
  })
  let blanked = 0
  fc.assert(
    fc.property(tree, harmless, fc.boolean(), (value, name, ofChild) => {
      line = ''
      if (ofChild) log.child({ [name]: value }).info('a line')
      else log.info({ [name]: value }, 'a line')
      if (line.includes('[secret]')) blanked += 1
      return line !== '' && !line.includes('hunter') && !secrets.some((secret) => isLeaked(line, secret))
    }),
    { numRuns: RUNS },
  )
  // The property would also hold if the lines contained no secret.
  expect(blanked).toBeGreaterThan(RUNS / 4)
})

test('a text that is passed without a look at its parts has nothing to redact', () => {
  const letters = fc.constantFrom(...'abcxyzABCXYZ0189_-/')
  const starts = fc.constantFrom(
    '',
    'ghp_',
    'github_pat_',
    'xcg_',
    'whsec_',
    'eyJ',
    'bearer',
    'basic',
    'token',
    '/code/',
  )
  const texts = fc.tuple(starts, fc.array(letters, { maxLength: 40 })).map(([start, rest]) => start + rest.join(''))
  fc.assert(
    fc.property(fc.oneof(texts, fc.uuid()), (text) => {
      // The space alone makes the text one that is looked at.
      expect(`${redactText(text)} `).toBe(redactText(`${text} `))
    }),
    { numRuns: RUNS },
  )
})

test('fields that are marked as redacted are logged as they are, and others are not', () => {
  const text = logged((log) => {
    log.info(markRedacted({ requestId: 'r', address: '::1' }), 'marked')
    log.info({ requestId: randomToken() }, 'not marked')
  })
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines).toMatchObject([{ requestId: 'r', address: '::1' }, { requestId: '[secret]' }])
  expect(Object.keys(lines[0])).toEqual(['level', 'time', 'requestId', 'address', 'msg'])
})

test('E-08 no sentence that the gateway logs is mistaken for a secret', () => {
  const root = path.join(import.meta.dirname, '../../src')
  const names = globSync('**/*.ts', { cwd: root }).filter((name) => !name.startsWith('sandbox/'))
  const files = names.map((file) => readFileSync(path.join(root, file), 'utf8'))
  // Every literal with several words, in whatever call, but for those that show a header.
  const sentences = files.flatMap((text) =>
    [...text.matchAll(/'([A-Z][^'\n]* [^'\n]+)'/g)].map(([, sentence]) => sentence ?? ''),
  )
  expect(sentences).toContain('An account needs reauthorization: its user has to connect it again')
  expect(
    sentences.filter((sentence) => !sentence.includes('"Authorization: ') && redactText(sentence) !== sentence),
  ).toEqual([])
})
