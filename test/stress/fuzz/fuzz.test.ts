// What `npm run fuzz` sends, bounded to what a run of all tests has time for. A failure prints the input, made as small as it goes.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FuzzGateway, openFuzzGateway } from './gateway.ts'
import { fuzzParts } from './parts.ts'

// A new one each time finds more; the one that found something is printed.
const seed = Date.now() % 1_000_000

let gateway: FuzzGateway
beforeAll(async () => {
  gateway = await openFuzzGateway()
})
afterAll(() => gateway.close())

test('G-05 20,000 documents and what is none are all answered, never by a 5xx, a leak or an error without a code', {
  timeout: 600_000,
}, async () => {
  const { inputs, refusals } = await fuzz('documents', 20_000)
  expect(inputs).toBe(20_000)
  // Else either nothing would be refused here, or nothing would be run.
  expect(refusals.length).toBeGreaterThan(2_000)
  expect(refusals.length).toBeLessThan(19_500)
})

test('S-08 14,500 ways of saying who one is, by cookie or by token, are no error', { timeout: 600_000 }, () =>
  expectTame('identities', 14_500),
)

test(
  'O-07 700 returns from a provider, to attempts that are open and to none, lead nowhere but home',
  {
    timeout: 600_000,
  },
  () => expectTame('callbacks', 700),
)

test('C-02 14,500 forms and other bodies, where they belong and where not, are no error', { timeout: 600_000 }, () =>
  expectTame('forms', 14_500),
)

test(
  'T-03 300 pairs of answers from providers, right and broken, end a sign-in or a link without an error or a leak',
  {
    timeout: 600_000,
  },
  () => expectTame('responses', 300),
)

test(
  'T-05 T-08 1,000 answers about tweets are each done, refused by a code of the list, or not known',
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
