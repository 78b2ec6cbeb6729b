import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { newKey, prepareDataDirectories, production, SECRET } from '../support/config-environment.ts'

const { newDirectory, problemsOf } = prepareDataDirectories()

describe('E-05 encryption keys', () => {
  test.each<[string, string]>([
    ['too short', `k1:${randomBytes(31).toString('base64')}`],
    ['too long', `k1:${randomBytes(33).toString('base64')}`],
    ['all zeros', `k1:${Buffer.alloc(32).toString('base64')}`],
    ['typed by hand', `k1:${Buffer.from('abababababababababababababababab').toString('base64')}`],
    ['without an id', randomBytes(32).toString('base64')],
    ['with a space in the id', newKey('the first')],
    ['with an empty id', newKey('')],
    ['with an id that is too long', newKey('k'.repeat(33))],
    ['without a value', 'k1:'],
    ['with text after it', `${newKey()}:more`],
    ['with characters that are not base64', `k1:!!${randomBytes(32).toString('base64')}`],
    ['with the same id twice', `${newKey('k1')},${newKey('k1')}`],
    ['none', ' , '],
  ])('are refused: %s', (_, keys) => {
    const problems = problemsOf({ ENCRYPTION_KEYS: keys })
    expect(problems).not.toEqual([])
    for (const problem of problems) {
      expect(problem).toMatch(/^ENCRYPTION_KEYS\b/)
      for (const value of keys.split(/[:,]/).filter((part) => part.length > 33)) expect(problem).not.toContain(value)
    }
  })

  test('keep their order: the first one encrypts', () => {
    const keys = [newKey('k3'), newKey('k2'), newKey('k1')]
    const config = parseConfig({ DATA_DIR: newDirectory(), ENCRYPTION_KEYS: keys.join(',') })
    expect(config.encryptionKeys.map(({ id }) => id)).toEqual(['k3', 'k2', 'k1'])
    expect(config.encryptionKeysSource).toBe('ENCRYPTION_KEYS')
  })

  test('are read from a file, which others may read with a warning, and must not write', () => {
    const file = `${newDirectory()}.keys`
    writeFileSync(file, `${newKey('k2')}\n${newKey('k1')}\n`, { mode: 0o600 })
    const environment = { DATA_DIR: newDirectory(), ENCRYPTION_KEYS_FILE: file }
    expect(parseConfig(environment).encryptionKeys.map(({ id }) => id)).toEqual(['k2', 'k1'])
    expect(parseConfig(environment).warnings).toEqual([])
    for (const mode of [0o444, 0o644]) {
      chmodSync(file, mode)
      expect(parseConfig(environment).warnings).toEqual([expect.stringMatching(`mode 0${mode.toString(8)}.*chmod 600`)])
    }
    for (const mode of [0o606, 0o602, 0o666]) {
      chmodSync(file, mode)
      expect(problemsOf(environment)).toEqual([expect.stringMatching(/could replace the secret: run chmod 600/)])
    }
    chmodSync(file, 0o600)
    expect(problemsOf({ ENCRYPTION_KEYS_FILE: newDirectory() })).toEqual([expect.stringContaining('cannot be read')])
    expect(problemsOf({ ...environment, ENCRYPTION_KEYS: newKey('k3') })).toEqual([
      expect.stringMatching(/^ENCRYPTION_KEYS and ENCRYPTION_KEYS_FILE are both set/),
    ])
  })
})

test('E-09 a secret can be read from a file; both variables at once, or an unreadable file, are refused', () => {
  const file = `${newDirectory()}.secret`
  writeFileSync(file, `${SECRET}\n`)
  const environment = { ...production(), GITHUB_CLIENT_SECRET: '', GITHUB_CLIENT_SECRET_FILE: file }
  expect(parseConfig(environment).github.clientSecret).toBe(SECRET)
  chmodSync(file, 0o644)
  expect(parseConfig(environment).warnings).toContainEqual(expect.stringContaining(`${file} can be read by every user`))
  chmodSync(file, 0o666)
  expect(problemsOf(environment)).toEqual([expect.stringContaining(`${file} can be written by every user`)])
  chmodSync(file, 0o600)
  expect(problemsOf({ ...environment, GITHUB_CLIENT_SECRET: 'other' })).toEqual([
    expect.stringMatching(/^GITHUB_CLIENT_SECRET and GITHUB_CLIENT_SECRET_FILE/),
  ])
  expect(problemsOf({ ...environment, GITHUB_CLIENT_SECRET_FILE: `${file}.not` }).join()).toContain('cannot be read')
  expect(readFileSync(file, 'utf8')).toBe(`${SECRET}\n`)
})

test('E-01 no message contains the value of a secret', () => {
  const secret = { ...production(), PORT: 'x', LOG_LEVEL: 'x', ENCRYPTION_KEYS: `k1:${SECRET},${SECRET}` }
  expect(problemsOf({ ...secret, DATABASE_URL: `mysql://u:${SECRET}@h/d` }).length).toBeGreaterThan(3)
  expect(problemsOf({ ENCRYPTION_KEYS: SECRET, GITHUB_CLIENT_SECRET: SECRET })).not.toEqual([])
})
