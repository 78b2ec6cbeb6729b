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

function fuzz(name: string, runs: number) {
  const part = fuzzParts[name]
  if (part === undefined) throw new Error(`Bug: there is no part ${name}`)
  console.log(`${name}: seed ${seed}`)
  return part(gateway, { runs, seed })
}
