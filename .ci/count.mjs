// node .ci/count.mjs <vitest's JSON report> <exit status of npm test>: prints "N passed, N failed, N skipped".
import { existsSync, readFileSync } from 'node:fs'

const [reportFile = '', exitStatus = '0'] = process.argv.slice(2)

// Without a report no test was started, because types or lint were wrong.
const files = existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, 'utf8')).testResults : []
const statuses = files.flatMap((file) => file.assertionResults.map((test) => test.status))
const passed = statuses.filter((status) => status === 'passed').length
const failedTests = statuses.filter((status) => status === 'failed').length
// A file that could not be loaded, or whose set-up failed, has no failed test in it: it counts as one itself.
const brokenFiles = files.filter(
  (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
).length
const counted = failedTests + brokenFiles
// What went wrong outside any test (lint, an unhandled rejection) still is a failure and must not read as none.
const failed = counted === 0 && exitStatus !== '0' ? 1 : counted
const skipped = statuses.length - passed - failedTests

console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
