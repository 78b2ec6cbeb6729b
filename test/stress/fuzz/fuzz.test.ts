// A bounded run of `npm run fuzz`, with 51,000 inputs. A document costs fifteen times as much as a
// cookie or a form. Of the rarest kind of document more than a hundred are sent. A failure prints the
// shrunken input.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FuzzGateway, openFuzzGateway } from './gateway.ts'
import { fuzzParts } from './parts.ts'

// A new seed each time finds more; a failure prints its seed.
const seed = Date.now() % 1_000_000

let gateway: FuzzGateway
beforeAll(async () => {
  gateway = await openFuzzGateway()
})
afterAll(() => gateway.close())

test('G-05 8,000 documents and other bodies get no 5xx, no leak and no error without a code', {
  timeout: 600_000,
}, async () => {
  const { inputs, refusals } = await fuzz('documents', 8_000)
  expect(inputs).toBe(8_000)
  // Otherwise nothing would be refused, or nothing executed.
  expect(refusals.length).toBeGreaterThan(800)
  expect(refusals.length).toBeLessThan(7_800)
})

test('S-08 20,500 cookies and Authorization headers cause no error', { timeout: 600_000 }, () =>
  expectTame('identities', 20_500),
)

test(
  'O-07 700 returns from a provider, to open attempts and to none, redirect to the gateway alone',
  {
    timeout: 600_000,
  },
  () => expectTame('callbacks', 700),
)

test(
  'C-02 20,500 forms and other bodies, at routes that expect one and others, cause no error',
  { timeout: 600_000 },
  () => expectTame('forms', 20_500),
)

test(
  'T-03 300 pairs of providers’ responses, valid and broken, end a sign-in or a connect without an error or a leak',
  {
    timeout: 600_000,
  },
  () => expectTame('responses', 300),
)

test(
  'T-05 T-08 1,000 responses about tweets end as done, refused with a published code, or unknown',
  { timeout: 600_000 },
  () => expectTame('tweets', 1_000),
)

async function expectTame(name: string, runs: number): Promise<void> {
  const { inputs, refusals } = await fuzz(name, runs)
  expect(inputs).toBe(runs)
  expect(refusals.length).toBeGreaterThan(runs / 20)
}

function fuzz(name: string, runs: number) {
  const part = fuzzParts[name]
  if (part === undefined) throw new Error(`Bug: there is no part ${name}`)
  console.log(`${name}: seed ${seed}`)
  return part(gateway, { runs, seed })
}
