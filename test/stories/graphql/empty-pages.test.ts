// The pageInfo of an empty page, with which a polling program continues.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { OPERATOR_ID } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { newPerson, readPage } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { ask, sendGraphql } from '../../support/raw-graphql.ts'

let world: World
let person: Browser
let operator: string
beforeAll(async () => {
  world = await startWorld()
  person = await newPerson(world)
  const made = { name: 'verifier', scopes: ['accounts:read'], expiresInDays: null }
  operator = (await createApiToken({ db: world.db(), clock: world.clock }, { userId: OPERATOR_ID }, made)).secret
})
afterAll(() => world.close())

const idCursor = async (name: string) => Buffer.from(`${name}${randomUUID()}`).toString('base64url')
const momentCursor = () => idCursor('1795464887605:')
const eventCursor = async () => (await readPage(person, { last: 1 })).pageInfo.endCursor

test.each([
  { list: 'events', its: 'types: [TWEET_POSTED]', cursor: eventCursor, asOperator: false },
  { list: 'tweets', its: '', cursor: momentCursor, asOperator: false },
  { list: 'webhookDeliveries', its: `webhookEndpointId: "${randomUUID()}"`, cursor: momentCursor, asOperator: false },
  { list: 'linkedUsers', its: '', cursor: () => idCursor('user:'), asOperator: true },
])(
  'an empty page of $list has no cursors, or of events the last one, or repeats the one that it was asked with',
  async (row) => {
    const read = async (variables: Record<string, unknown>) => {
      const given = `first: $first, last: $last, after: $after, before: $before`
      const body = ask(
        `query ($first: Int, $last: Int, $after: String, $before: String) {
        page: ${row.list}(${given} ${row.its}) { edges { cursor } pageInfo { startCursor endCursor } }
      }`,
        variables,
      )
      const { response } = row.asOperator
        ? await sendGraphql(world.browser(), body, { authorization: `Bearer ${operator}` })
        : await sendGraphql(person, body)
      return response
    }
    const empty = (cursor: string | null) => ({
      data: { page: { edges: [], pageInfo: { startCursor: cursor, endCursor: cursor } } },
    })
    const pageInfo = { startCursor: null, endCursor: expect.stringMatching(/^ZXZlbnQ6/) }
    const endOfEvents = { data: { page: { edges: [], pageInfo } } }
    for (const variables of [{}, { last: 1 }, { after: null, before: null }]) {
      // Events are appended: after this cursor all are new.
      if (row.list === 'events') expect(await read(variables)).toEqual(endOfEvents)
      else expect(await read(variables)).toEqual(empty(null))
    }
    const cursor = await row.cursor()
    expect(cursor).toBeTruthy()
    expect(await read({ after: cursor })).toEqual(empty(cursor))
    expect(await read({ last: 1, before: cursor })).toEqual(empty(cursor))
    // The cursor of the first page is sent again unchanged.
    expect(await read({ after: '' })).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] })
  },
)
