import { expect, test } from 'vitest'
import { tokenStates, tweetStatuses } from '../../src/db/tables.ts'
import { readStateDiagram } from '../support/state-diagram.ts'

test.each([
  ['oauth_tokens', 'src/accounts/refresh.ts', 'src/accounts', tokenStates],
  ['tweets', 'src/tweets/outcome.ts', 'src/tweets', tweetStatuses],
])('the diagram of the states of %s has the states of the table, and names functions that exist', (...row) => {
  const [, file, folder, tableStates] = row
  const { states, drawn, transitions, functions } = readStateDiagram(file, folder)
  expect(states).toEqual([...tableStates].sort())
  expect(drawn).toEqual([...new Set([...states, ...transitions])].sort())
  expect(transitions.filter((name) => !functions.has(name))).toEqual([])
})
