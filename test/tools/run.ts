// The part of `npm test` after the checks. `npm test -- security` runs only the tests of the
// checklist in SECURITY.md, and prints it with a result for each row. Other arguments are passed to
// vitest.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CHECKLIST_ID, readChecklist } from '../support/checklist.ts'

type Report = { testResults: { assertionResults: { fullName: string; status: string }[] }[] }

// The other tests of these files were not selected.
const RAN = ['passed', 'failed']

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
    let isWhole = true
    for (const { id, sentence } of rows) {
      const own = results.filter(({ fullName, status }) => fullName.includes(id) && RAN.includes(status))
      const failed = own.filter(({ status }) => status === 'failed')
      isWhole &&= own.length > 0
      console.log(`${id} ${sayResult(own.length, failed.length)} ${sentence}`)
      for (const { fullName } of failed) console.log(`     ${fullName}`)
    }
    return isWhole ? status : Math.max(status, 1)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function sayResult(ran: number, failed: number): string {
  const result = ran === 0 ? 'NOT RUN' : failed === 0 ? `${ran} passed` : `${failed} of ${ran} FAILED`
  return result.padEnd(16)
}
