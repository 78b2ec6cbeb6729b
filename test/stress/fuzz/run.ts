// `npm run fuzz`: any number of inputs, and a table of the results. Exits with 1 at the first wrong
// response.
import { parseArgs } from 'node:util'
import { percentile } from '../../support/percentile.ts'
import { openFuzzGateway } from './gateway.ts'
import { fuzzParts } from './parts.ts'

const USAGE = `npm run fuzz -- [options]: inputs of all kinds, to a gateway without a port

  --runs N          how many of each part (50000)
  --parts A,B       what is sent: ${Object.keys(fuzzParts).join(', ')} (all)
  --seed N          sends the same again

It exits with 1 at the first response that is a 5xx, is malformed, or contains a secret or internals.`

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    runs: { type: 'string', default: '50000' },
    parts: { type: 'string', default: Object.keys(fuzzParts).join() },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
if (values.help) {
  console.log(USAGE)
  process.exit(0)
}
console.log(`Seed ${values.seed}: --seed ${values.seed} sends the same again.\n`)
console.log('| part | inputs | seconds | refused | median ms | p99 ms | longest ms |')
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: |')
const gateway = await openFuzzGateway()
try {
  for (const name of values.parts.split(',')) {
    const part = fuzzParts[name]
    if (part === undefined) throw new Error(`There is no part ${name}, only ${Object.keys(fuzzParts).join(', ')}.`)
    const startedAt = performance.now()
    const { inputs, refusals } = await part(gateway, { runs: Number(values.runs), seed: Number(values.seed) })
    const seconds = (performance.now() - startedAt) / 1000
    const at = (share: number) => percentile(refusals, share).toFixed(1)
    const counts = [inputs.toLocaleString('en'), seconds.toFixed(0), refusals.length.toLocaleString('en')]
    console.log(`| ${[name, ...counts, at(0.5), at(0.99), at(1)].join(' | ')} |`)
  }
} catch (error) {
  // fast-check puts the input into the message, and the fault of its response into the cause.
  console.error(error)
  process.exitCode = 1
} finally {
  await gateway.close()
}
