import { expect, test } from 'vitest'
import { FIRST_BY_RULES, type Migration, readMigrations } from '../../src/db/migrations.ts'
import { findMigrationProblems } from '../support/migration-rules.ts'

const migration = (...statements: string[]): Migration => {
  const text = statements.join('\n')
  return {
    tag: `00${FIRST_BY_RULES}_invented`,
    number: FIRST_BY_RULES,
    statements,
    hash: '',
    createdAt: 1,
    inSteps: /^-- in steps$/m.test(text),
    needs: /^-- contract: needs/m.test(text) ? 0 : null,
  }
}

test('the migrations of this release obey the rules of drizzle/README.md', () => {
  expect(findMigrationProblems(readMigrations())).toEqual([])
})

test.each([
  'CREATE TABLE "notes" ("id" uuid PRIMARY KEY)',
  'ALTER TABLE "tweets" ADD COLUMN "note" text',
  'ALTER TABLE "tweets" ADD COLUMN "note" text DEFAULT \'\' NOT NULL',
  'ALTER TABLE "tweets" ADD CONSTRAINT "tweets_note" CHECK (note <> \'\') NOT VALID',
  '-- in steps\nALTER TABLE "tweets" VALIDATE CONSTRAINT "tweets_note"',
  '-- in steps\nCREATE INDEX CONCURRENTLY IF NOT EXISTS "tweets_note" ON "tweets" ("note")',
  '-- in steps\nDROP INDEX CONCURRENTLY IF EXISTS "tweets_note"',
  '-- in steps\n-- in batches\nUPDATE "tweets" SET note = \'\' WHERE id IN (SELECT id FROM tweets WHERE note IS NULL LIMIT 1000) RETURNING 1',
  '-- contract: needs 0001_events\nALTER TABLE "tweets" DROP COLUMN "note"',
  'ALTER TABLE "tweets" DROP CONSTRAINT "tweets_note"',
])('accepts %s', (statement) => {
  expect(findMigrationProblems([migration(statement)])).toEqual([])
})

test.each([
  ['CREATE INDEX "tweets_note" ON "tweets" ("note")', /CONCURRENTLY/],
  ['-- in steps\nCREATE INDEX CONCURRENTLY "tweets_note" ON "tweets" ("note")', /IF NOT EXISTS/],
  ['DROP INDEX "tweets_note"', /CONCURRENTLY/],
  ['ALTER TABLE "tweets" ADD COLUMN "note" text NOT NULL', /nullable/],
  ['ALTER TABLE "tweets" ADD COLUMN "note" uuid DEFAULT gen_random_uuid()', /constant/],
  ['ALTER TABLE "tweets" ADD COLUMN "note" text UNIQUE', /by itself/],
  ['ALTER TABLE "tweets" ADD CONSTRAINT "tweets_note" CHECK (note <> \'\')', /NOT VALID/],
  ['ALTER TABLE "tweets" ADD CONSTRAINT "tweets_note" UNIQUE (note)', /USING INDEX/],
  ['ALTER TABLE "tweets" VALIDATE CONSTRAINT "tweets_note"', /in steps/],
  ['ALTER TABLE "tweets" ALTER COLUMN "note" SET NOT NULL', /validated before/],
  ['ALTER TABLE "tweets" ALTER COLUMN "note" TYPE bigint', /AT_AlterColumnType/],
  ['ALTER TABLE "tweets" DROP COLUMN "note"', /contract/],
  ['ALTER TABLE "tweets" RENAME COLUMN "note" TO "remark"', /renamed/],
  ['DROP TABLE "tweets"', /contract/],
  ['TRUNCATE "tweets"', /not among/],
  ['UPDATE "tweets" SET note = \'\'', /in batches/],
  ['-- in steps\n-- in batches\nUPDATE "tweets" SET note = \'\' RETURNING 1', /LIMIT/],
  ['DO $$ BEGIN END $$', /not among/],
  ['-- in steps\nALTER TABLE "tweets" ADD COLUMN "note" text', /in a transaction/],
])('refuses %s', (statement, problem) => {
  expect(findMigrationProblems([migration(statement)])).toEqual([expect.stringMatching(problem)])
})

test('a column becomes NOT NULL after its check is validated, and one transaction changes one table', () => {
  const validated = migration('-- in steps\nALTER TABLE "tweets" VALIDATE CONSTRAINT "tweets_note_not_null"')
  const required = migration('ALTER TABLE "tweets" ALTER COLUMN "note" SET NOT NULL')
  expect(findMigrationProblems([validated, required])).toEqual([])
  const two = migration('ALTER TABLE "tweets" ADD COLUMN "a" text', 'ALTER TABLE "users" ADD COLUMN "a" text')
  expect(findMigrationProblems([two])).toEqual([expect.stringContaining('two can deadlock')])
})

test('does not judge the history of before the rules', () => {
  expect(findMigrationProblems([{ ...migration('DROP TABLE "tweets"'), number: FIRST_BY_RULES - 1 }])).toEqual([])
})
