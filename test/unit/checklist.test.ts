import { expect, test } from 'vitest'
import { findChecklistTests, readChecklist } from '../support/checklist.ts'

test('each row of the checklist in SECURITY.md names test files, all of which have tests that carry its id, and no test carries another id', () => {
  const carriers = new Map(findChecklistTests().map(({ id, files }) => [id, files]))
  const rows = readChecklist()
  expect(rows.filter(({ files }) => files.length === 0).map(({ id }) => id)).toEqual([])
  const wrong = rows.flatMap(({ id, files }) =>
    files.filter((file) => !carriers.get(id)?.includes(file)).map((file) => `${id} ${file}`),
  )
  expect(wrong).toEqual([])
  const ids = rows.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect([...carriers.keys()].filter((id) => !ids.includes(id))).toEqual([])
})
