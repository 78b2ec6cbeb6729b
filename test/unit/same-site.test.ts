import { expect, test } from 'vitest'
import { explainCrossSite, isSameSite } from '../../src/config/same-site.ts'

test.each([
  ['https://app.example.com', 'https://gateway.example.com', true],
  ['https://example.com', 'https://gateway.example.com', true],
  ['https://app.example.com:8443', 'https://app.example.com', true],
  ['https://a.b.example.co.uk', 'https://example.co.uk', true],
  ['http://127.0.0.1:5173', 'http://127.0.0.1:3000', true],
  ['http://localhost:5173', 'http://localhost:3000', true],
  ['http://[::1]:5173', 'http://[::1]:3000', true],
  // Two names of this machine.
  ['http://localhost:5173', 'http://127.0.0.1:3000', false],
  ['http://[::1]:5173', 'http://127.0.0.1:3000', false],
  ['http://127.0.0.2:5173', 'http://127.0.0.1:3000', false],
  ['http://app.localhost:5173', 'http://localhost:3000', false],
  // Different schemes.
  ['http://localhost:5173', 'https://localhost:3000', false],
  // The same public suffix, with different owners.
  ['https://app.example.com', 'https://gateway.example.org', false],
  ['https://one.co.uk', 'https://two.co.uk', false],
  ['https://one.github.io', 'https://two.github.io', false],
  ['https://app.vercel.app', 'https://gateway.vercel.app', false],
  ['https://192.0.2.1', 'https://192.0.2.2', false],
  ['https://app.evil-example.com', 'https://example.com', false],
])('%s and %s are the same site: %s', (origin, other, same) => {
  expect(isSameSite(origin, other)).toBe(same)
  expect(isSameSite(other, origin)).toBe(same)
})

test('advises how to open a front end at another name of this machine', () => {
  expect(explainCrossSite('http://localhost:5173', 'http://127.0.0.1:3000')).toBe(
    'Open the front end at http://127.0.0.1:5173, and list that origin in ALLOWED_ORIGINS: browsers treat localhost and 127.0.0.1 as different sites.',
  )
})

test('advises how two domains become one site, and mentions the scheme', () => {
  const explained = explainCrossSite('https://app.example.com', 'https://gateway.example.org')
  expect(explained).toContain('Serve both under one domain')
  expect(explained).not.toContain('scheme')
  expect(explainCrossSite('http://localhost:5173', 'https://localhost:3000')).toContain('Both must also use https')
})
