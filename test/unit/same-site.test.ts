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
  // The two names of one machine.
  ['http://localhost:5173', 'http://127.0.0.1:3000', false],
  ['http://[::1]:5173', 'http://127.0.0.1:3000', false],
  ['http://127.0.0.2:5173', 'http://127.0.0.1:3000', false],
  ['http://app.localhost:5173', 'http://localhost:3000', false],
  // Another scheme.
  ['http://localhost:5173', 'https://localhost:3000', false],
  // What ends alike, and is two people's.
  ['https://app.example.com', 'https://gateway.example.org', false],
  ['https://one.co.uk', 'https://two.co.uk', false],
  ['https://one.github.io', 'https://two.github.io', false],
  ['https://app.vercel.app', 'https://gateway.vercel.app', false],
  ['https://192.0.2.1', 'https://192.0.2.2', false],
  ['https://app.evil-example.com', 'https://example.com', false],
])('%s and %s are one site: %s', (origin, other, same) => {
  expect(isSameSite(origin, other)).toBe(same)
  expect(isSameSite(other, origin)).toBe(same)
})

test('says where to open a front end that has the other name of this machine', () => {
  expect(explainCrossSite('http://localhost:5173', 'http://127.0.0.1:3000')).toBe(
    'Open the front end at http://127.0.0.1:5173, and list that origin in ALLOWED_ORIGINS: browsers treat localhost and 127.0.0.1 as different sites.',
  )
})

test('says how two domains become one site, and that the scheme counts', () => {
  const explained = explainCrossSite('https://app.example.com', 'https://gateway.example.org')
  expect(explained).toContain('Serve both under one domain')
  expect(explained).not.toContain('scheme')
  expect(explainCrossSite('http://localhost:5173', 'https://localhost:3000')).toContain('Both must also use https')
})
