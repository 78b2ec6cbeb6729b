import { writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { prepareDataDirectories, production, SECRET } from '../support/config-environment.ts'

const { newDirectory, problemsOf } = prepareDataDirectories()

describe('HTTPS_PROXY', () => {
  const read = (environment: Record<string, string>) =>
    parseConfig({ DATA_DIR: newDirectory(), ...environment }).outboundProxy

  test('is read in upper or lower case, with NO_PROXY, and from a file', () => {
    expect(read({})).toBeNull()
    expect(read({ HTTP_PROXY: 'http://proxy:3128', NO_PROXY: 'x' })).toBeNull()
    expect(read({ HTTPS_PROXY: 'http://proxy:3128' })).toEqual({ url: 'http://proxy:3128/', except: '' })
    expect(read({ https_proxy: 'https://name:pass@proxy', no_proxy: 'a,.b' })).toEqual({
      url: 'https://name:pass@proxy/',
      except: 'a,.b',
    })
    const file = `${newDirectory()}-proxy`
    writeFileSync(file, 'http://name:pass@proxy:3128\n')
    expect(read({ HTTPS_PROXY_FILE: file })).toMatchObject({ url: 'http://name:pass@proxy:3128/' })
  })

  test.each(['proxy:3128', 'socks5://proxy', 'name:hidden@proxy:3128', 'http://name:hidden@proxy/path', '-'])(
    'refuses %s, without a password in the message',
    (text) => {
      const problems = problemsOf({ HTTPS_PROXY: text })
      expect(problems).toEqual([
        'HTTPS_PROXY must be a URL such as http://proxy.example.com:3128, with http:// or https:// in front.',
      ])
    },
  )
})

test('S-02 refuses a PUBLIC_URL without https, to which cookies would be sent in plain text', () => {
  for (const production of [{ NODE_ENV: 'production' }, {}])
    expect(problemsOf({ ...production, PUBLIC_URL: 'http://gateway.example.com' })).toContainEqual(
      expect.stringMatching(/^PUBLIC_URL: .*https/),
    )
})

describe('T-07 addresses', () => {
  test.each([
    ['PUBLIC_URL', 'http://gateway.example.com'],
    ['PUBLIC_URL', 'https://gateway.example.com/path'],
    ['PUBLIC_URL', 'https://gateway.example.com?x=1'],
    ['PUBLIC_URL', `https://user:${SECRET}@gateway.example.com`],
    ['PUBLIC_URL', `https://:${SECRET}@gateway.example.com`],
    ['PUBLIC_URL', 'javascript:alert(1)'],
    ['PUBLIC_URL', 'https://'],
    ['ALLOWED_ORIGINS', 'http://app.example.com'],
    ['ALLOWED_ORIGINS', '*'],
    ['ALLOWED_ORIGINS', 'null'],
    ['ALLOWED_ORIGINS', `https://user:${SECRET}@app.example.com`],
    ['X_API_URL', 'http://10.0.0.1/'],
    ['X_API_URL', 'http://127.0.0.1.example.com'],
    ['X_API_URL', 'http://localhost.example.com'],
    ['X_URL', `https://:${SECRET}@x.com`],
    ['X_URL', `https://user:${SECRET}@x.com`],
    ['GITHUB_API_URL', 'file:///etc/passwd'],
    ['GITHUB_URL', 'https://github.com/#fragment'],
  ])('that are neither https nor loopback, or not URLs, are refused: %s=%s', (name, url) => {
    expect(problemsOf({ ...production(), [name]: url })).toEqual([expect.stringMatching(new RegExp(`^${name}: `))])
  })

  test.each(['http://127.0.0.1:3000', 'http://localhost:3000', 'http://[::1]:3000', 'https://example.com'])(
    'that are https or loopback are accepted: %s',
    (url) => {
      const config = parseConfig({
        ...production(),
        PUBLIC_URL: url,
        X_API_URL: `${url}/`,
        GITHUB_API_URL: `${url}/api/v3`,
      })
      expect([config.publicUrl, config.x.apiUrl, config.github.apiUrl]).toEqual([url, url, `${url}/api/v3`])
    },
  )
})
