import { expect, test } from 'vitest'
import { tokenStates } from '../../src/db/tables.ts'
import { readStateDiagram } from '../support/state-diagram.ts'

test('the diagram of the token states has the states of the table, and names functions that exist', () => {
  const { states, drawn, transitions, functions } = readStateDiagram('src/accounts/refresh.ts', 'src/accounts')
  expect(states).toEqual([...tokenStates].sort())
  expect(drawn).toEqual([...states, ...new Set(transitions)].sort())
  expect(transitions.filter((name) => !functions.has(name))).toEqual([])
})
