import { expect, test } from 'vitest'
import { addressBlock, createAddressReader } from '../../src/http/client-address.ts'

test.each<[string | null, string]>([
  ['203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
  ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:0:0:1:2:3:4', '2001:db8:0:0::/64'],
  ['1::2:3:4:5:6', '1:0:0:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  [null, 'unknown'],
])('%s counts as %s', (address, block) => {
  expect(addressBlock(address)).toBe(block)
})

test.each<[string | undefined, string]>([
  [undefined, '10.0.0.1'],
  ['', '10.0.0.1'],
  ['203.0.113.7', '203.0.113.7'],
  ['198.51.100.1, 203.0.113.7', '203.0.113.7'],
  ['203.0.113.7, 10.0.0.9', '203.0.113.7'],
  ['203.0.113.7, ::ffff:10.0.0.9, ', '203.0.113.7'],
  ['10.0.0.8, 10.0.0.9', '10.0.0.8'],
  ['2001:db8::7', '2001:db8::7'],
  // With the port, as Azure and some other proxies append it.
  ['198.51.100.1, 203.0.113.7:4711', '203.0.113.7'],
  ['198.51.100.1, [2001:db8::7]:4711', '2001:db8::7'],
  ['198.51.100.1, [2001:db8::7]', '2001:db8::7'],
  // Entries before one that is not an address come from the client, and are not trusted.
  ['198.51.100.1, unknown', '10.0.0.1'],
  ['198.51.100.1, unknown, 10.0.0.9', '10.0.0.9'],
  ['198.51.100.1, 203.0.113.7:', '10.0.0.1'],
  ['198.51.100.1, 203.0.113.700', '10.0.0.1'],
  ['198.51.100.1, fe80::1%eth0', 'fe80::1%eth0'],
])('C-07 behind a trusted proxy X-Forwarded-For %j names %s', (forwardedFor, address) => {
  const readAddress = createAddressReader(['10.0.0.0/8'])
  expect(readAddress('10.0.0.1', forwardedFor)).toBe(address)
  expect(readAddress('192.0.2.1', forwardedFor)).toBe('192.0.2.1')
})

test('C-07 without a socket there is no address', () => {
  expect(createAddressReader(['10.0.0.0/8'])(undefined, '203.0.113.7')).toBeNull()
})
