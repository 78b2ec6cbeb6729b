// `npm run drill`: lists the procedures of docs/operate.md. `npm run drill -- NAME…` carries them out by
// their tests, on databases and processes of its own, and prints a table; `all` carries out all.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Procedure, readProcedures } from '../support/procedures.ts'

type Report = { testResults: { status: string; assertionResults: { status: string }[] }[] }

const procedures = readProcedures()
const names = process.argv.slice(2)
const unknown = names.filter((name) => name !== 'all' && !procedures.some((procedure) => procedure.name === name))

if (names.length === 0) {
  console.log('npm run drill -- NAME… | all\n')
  for (const { name, title } of procedures) console.log(`  ${name.padEnd(32)} ${title}`)
} else if (unknown.length > 0) {
  console.error(`There is no drill ${unknown.join(', ')}. npm run drill lists them.`)
  process.exitCode = 2
} else {
  const rows = procedures.filter(({ name }) => names.includes(name) || names.includes('all')).map(carryOut)
  console.log(`\n${'drill'.padEnd(32)} ${'seconds'.padStart(7)}  result`)
  for (const { name, seconds, result } of rows) console.log(`${name.padEnd(32)} ${seconds.padStart(7)}  ${result}`)
  process.exitCode = rows.every(({ isGood }) => isGood) ? 0 : 1
}

function carryOut({ name, files }: Procedure) {
  const directory = mkdtempSync(join(tmpdir(), 'xconnect-drill-'))
  const startedAt = performance.now()
  try {
    const file = join(directory, 'report.json')
    spawnSync(
      'vitest',
      ['run', '--config', 'test/vitest.config.ts', ...files, '--reporter=default', '--reporter=json'].concat(
        `--outputFile.json=${file}`,
      ),
      { stdio: 'inherit' },
    )
    const report: Report = JSON.parse(readFileSync(file, 'utf8'))
    const results = report.testResults.flatMap(({ assertionResults }) => assertionResults)
    const count = (status: string) => results.filter((result) => result.status === status).length
    const [passed, failed] = [count('passed'), count('failed')]
    const isGood = passed > 0 && failed === 0 && report.testResults.every(({ status }) => status === 'passed')
    const seconds = String(Math.round((performance.now() - startedAt) / 1000))
    return { name, seconds, isGood, result: `${isGood ? 'passed' : 'FAILED'} (${passed} of ${results.length} checks)` }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
