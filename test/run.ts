// What `npm test` runs after the checks. `npm test -- security` runs the tests of SECURITY.md's checklist alone and prints it with what
// came of each row; anything else is handed to vitest.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CHECKLIST_ID, readChecklist } from './checklist.ts'

type Report = { testResults: { assertionResults: { fullName: string; status: string }[] }[] }

const words = process.argv.slice(2)
process.exitCode = words[0] === 'security' ? runChecklist(words.slice(1)) : runVitest(words)

function runVitest(words: readonly string[]): number {
  const { status } = spawnSync('vitest', ['run', '--config', 'test/vitest.config.ts', ...words], { stdio: 'inherit' })
  return status ?? 1
}

function runChecklist(words: readonly string[]): number {
  const rows = readChecklist()
  const directory = mkdtempSync(join(tmpdir(), 'xconnect-checklist-'))
  try {
    const file = join(directory, 'report.json')
    const status = runVitest([
      ...new Set(rows.flatMap(({ files }) => files)),
      '--testNamePattern',
      CHECKLIST_ID.source,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${file}`,
      ...words,
    ])
    const report: Report = JSON.parse(readFileSync(file, 'utf8'))
    const results = report.testResults.flatMap(({ assertionResults }) => assertionResults)
    for (const { id } of rows) {
      const own = results.filter(
        ({ fullName, status }) => fullName.includes(id) && status !== 'pending' && status !== 'skipped',
      )
      console.log(`${id} ${sayResult(own.map(({ status }) => status))}`)
      for (const title of new Set(own.map(({ fullName }) => fullName))) console.log(`     ${title}`)
    }
    return status
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function sayResult(statuses: readonly string[]): string {
  const failed = statuses.filter((status) => status !== 'passed').length
  if (statuses.length === 0) return 'NOT TESTED'
  return failed === 0 ? `holds (${statuses.length} tests)` : `FAILED (${failed} of ${statuses.length} tests)`
}
