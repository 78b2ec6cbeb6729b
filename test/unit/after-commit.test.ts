// Work that waits for the commit of a transaction.
import { expect, test } from 'vitest'
import { atOnce } from '../../src/db/after-commit.ts'
import { transaction } from '../../src/deps.ts'

const noted: string[] = []

/** Transactions that note their end, so that the order can be seen; a nested one is a savepoint. */
function transactionsThatNote() {
  const open = (name: string): never =>
    ({
      transaction: async (work: (db: never) => Promise<unknown>) => {
        const result = await work(open('savepoint'))
        noted.push(`end of ${name}`)
        return result
      },
    }) as never
  noted.length = 0
  return { db: open('transaction'), afterCommit: atOnce }
}

test('runs after the commit, in order, and after that of the outermost transaction', async () => {
  await transaction(transactionsThatNote(), async (deps) => {
    deps.afterCommit(() => noted.push('first'))
    await transaction(deps, async (deps) => deps.afterCommit(() => noted.push('second')))
    noted.push('work')
  })
  expect(noted).toEqual(['end of savepoint', 'work', 'end of transaction', 'first', 'second'])
})

test('never runs when the transaction is rolled back', async () => {
  const failing = transaction(transactionsThatNote(), async (deps) => {
    deps.afterCommit(() => noted.push('never'))
    throw new Error('rolled back')
  })
  await expect(failing).rejects.toThrow('rolled back')
  expect(noted).toEqual([])
})

test('runs again with the transaction, and not again after the commit', async () => {
  const deadlock = () => Object.assign(new Error('deadlock detected'), { code: '40P01' })
  let runs = 0
  const committed = transaction(transactionsThatNote(), async (deps) => {
    runs += 1
    deps.afterCommit(() => {
      noted.push(`after run ${runs}`)
      throw deadlock()
    })
    if (runs === 1) throw deadlock()
  })
  await expect(committed).rejects.toThrow('deadlock detected')
  expect(noted).toEqual(['end of transaction', 'after run 2'])
})

test('runs at once outside of a transaction', () => {
  const { afterCommit } = transactionsThatNote()
  afterCommit(() => noted.push('now'))
  expect(noted).toEqual(['now'])
})
