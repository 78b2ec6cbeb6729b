import { expect, test } from 'vitest'
import { judgePlan, parsePlan } from '../support/statements/plans.ts'

const growing = new Set(['notes'])
const partialIndexes = new Set(['notes_open'])
const judge = (plan: object) => judgePlan(parsePlan([{ Plan: plan }]), growing, partialIndexes)

const scan = (more: object) => ({
  'Node Type': 'Index Scan',
  'Relation Name': 'notes',
  'Index Name': 'notes_pkey',
  ...more,
})

test.each<[string, object]>([
  ['a search of an index', scan({ 'Index Cond': '(id = $1)', Filter: '(text = $2)' })],
  ['all of a partial index', scan({ 'Index Name': 'notes_open' })],
  ['all of a table that does not grow', { 'Node Type': 'Seq Scan', 'Relation Name': 'settings' }],
  ['the beginning of an index', { 'Node Type': 'Limit', Plans: [scan({})] }],
  [
    'all of a table while it is small',
    {
      'Node Type': 'Result',
      'One-Time Filter': "((InitPlan 1).col1 < '100000'::double precision)",
      Plans: [{ 'Node Type': 'Seq Scan', 'Relation Name': 'notes' }],
    },
  ],
  [
    'a bitmap',
    {
      'Node Type': 'Bitmap Heap Scan',
      'Relation Name': 'notes',
      Plans: [{ 'Node Type': 'Bitmap Index Scan', 'Index Name': 'notes_pkey', 'Index Cond': '(id = $1)' }],
    },
  ],
])('accepts %s', (_, plan) => {
  expect(judge(plan)).toEqual([])
})

test.each<[string, object, string]>([
  ['a table', { 'Node Type': 'Seq Scan', 'Relation Name': 'notes' }, 'It reads all of notes.'],
  [
    'a table below other nodes',
    {
      'Node Type': 'Limit',
      Plans: [{ 'Node Type': 'Sort', Plans: [{ 'Node Type': 'Seq Scan', 'Relation Name': 'notes' }] }],
    },
    'It reads all of notes.',
  ],
  [
    'a table on a condition that says nothing of its size',
    {
      'Node Type': 'Result',
      'One-Time Filter': '($1 < $2)',
      Plans: [{ 'Node Type': 'Seq Scan', 'Relation Name': 'notes' }],
    },
    'It reads all of notes.',
  ],
  ['an index', scan({}), 'It reads all of the index notes_pkey.'],
  [
    'an index, to sort it',
    { 'Node Type': 'Limit', Plans: [{ 'Node Type': 'Sort', Plans: [scan({})] }] },
    'It reads all of the index notes_pkey.',
  ],
  [
    'an index, to skip rows',
    { 'Node Type': 'Limit', Plans: [scan({ Filter: '(text = $1)' })] },
    'It reads all of the index notes_pkey.',
  ],
])('refuses a plan that reads all of %s', (_, plan, problem) => {
  expect(judge(plan)).toEqual([problem])
})
