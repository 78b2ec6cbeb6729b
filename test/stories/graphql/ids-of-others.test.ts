// Every field of the schema that takes an id, called with the id of another user's object.
import {
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLObjectType,
  getNamedType,
  isInputObjectType,
  isInterfaceType,
  isLeafType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
} from 'graphql'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { findAccessRule } from '../../../src/graphql/access.ts'
import { schema } from '../../../src/graphql/schema.ts'
import type { Browser } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { newPerson } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { literal } from '../../support/minimal-document.ts'
import { ask, sendGraphql } from '../../support/raw-graphql.ts'

/** A field, the name of its id, and a document that passes it as $id and selects everything. */
type Taker = { field: string; name: string; document: string }

// These ids belong to no user of the gateway: X's own, a GitHub user's, which only an operator's
// token may use, and that of a deletion, which is a secret that the person keeps.
const OTHER_IDS = ['postTweet.replyToXTweetId', 'linkedUser.githubId', 'userDeletion.userDeletionId']

// An operator's token administers all users; a user is refused whatever the id is.
const isAdministration = (field: GraphQLField<unknown, unknown>) =>
  findAccessRule(field)?.operator?.startsWith('admin:') === true && findAccessRule(field)?.scope === undefined

const takers = [schema.getQueryType(), schema.getMutationType()].flatMap((root) => (root ? findTakers(root) : []))
const known = takers.filter(({ field, name }) => !OTHER_IDS.includes(`${field}.${name}`))
// Fields that delete an object come last.
const isEnd = ({ field }: Taker) => /^(delete|revoke|disconnect)/.test(field)
const inOrder = [...known.filter((taker) => !isEnd(taker)), ...known.filter(isEnd)]

let world: World
let owner: Browser
let stranger: Browser
let owned: Record<string, string>
beforeAll(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  owner = await newPerson(world)
  stranger = await newPerson(world)
  owned = await ownOneOfEach()
})
afterAll(() => world.close())

test('G-10 this story knows every field that takes an id', () => {
  expect(takers.length).toBeGreaterThan(15)
  for (const id of OTHER_IDS) expect(takers.map(({ field, name }) => `${field}.${name}`)).toContain(id)
})

test.each(inOrder)('G-10 $field by $name responds to another user’s id as to an unknown one', async (taker) => {
  const id = idFor(taker)
  const answerTo = async (person: Browser, given: string) => {
    const { status, text } = await sendGraphql(person, ask(taker.document, { id: given }))
    expect(text, taker.document).not.toMatch(/"code":"(INTERNAL|BAD_USER_INPUT|FORBIDDEN|UNAUTHENTICATED)"/)
    return `${status} ${text.replaceAll(given, 'the id')}`
  }
  const nothing = await answerTo(stranger, crypto.randomUUID())
  const others = await answerTo(stranger, id)
  expect(others).toBe(nothing)
  // Otherwise the document would prove nothing: the owner gets another result.
  expect(await answerTo(owner, id)).not.toBe(nothing)
})

// As a JSON number, an id of X has lost its last digits before it is read, and is another id.
test.each(takers)('G-10 $field by $name refuses a number that JSON cannot represent', async ({ document }) => {
  for (const number of ['1799000000000000123', '9007199254740993', '-9007199254740993', '1.8e18', '1e400']) {
    const { text } = await sendGraphql(owner, ask(document, { id: 'NUMBER' }).replace('"NUMBER"', number))
    expect(text, number).toMatch(/"code":"BAD_USER_INPUT"/)
    expect(text, number).toContain('Send it as a string')
  }
  const { text } = await sendGraphql(owner, ask(document, { id: Number.MAX_SAFE_INTEGER }))
  expect(text).not.toContain('as a string')
})

function idFor({ field, name }: Taker): string {
  const id = owned[name]
  if (id === undefined) throw new Error(`${field} takes an id by ${name}: say in ownOneOfEach what that is the id of`)
  return id
}

/**
 * Creates an object of each kind for the owner, and returns the ids by the names of their
 * arguments.
 */
async function ownOneOfEach(): Promise<Record<string, string>> {
  const account = await connectAccount(world, { person: owner })
  const { tweet } = await account.post()
  const { startXConnect } = await owner.api('start-x-connect')
  const { createApiToken } = await owner.api('create-api-token', {
    input: { name: 'a program', scopes: ['accounts:read'] },
  })
  const { createWebhookEndpoint } = await owner.api('create-webhook-endpoint', {
    input: { url: 'http://127.0.0.1:9/' },
  })
  const webhookEndpointId = createWebhookEndpoint.webhookEndpoint?.id ?? ''
  await owner.api('test-webhook-endpoint', { input: { webhookEndpointId } })
  const webhookDeliveryId = await vi.waitFor(async () => {
    const { webhookDeliveries } = await owner.query<{ webhookDeliveries: { edges: { node: { id: string } }[] } }>(
      'query ($id: ID!) { webhookDeliveries(webhookEndpointId: $id) { edges { node { id } } } }',
      { id: webhookEndpointId },
    )
    const [edge] = webhookDeliveries.edges
    if (edge === undefined) throw new Error('Nothing is to be delivered')
    return edge.node.id
  }, 20_000)
  // Another browser of the same user, so that its end leaves this one.
  const viewer = await owner.query<{ viewer: { login: string } }>('{ viewer { login } }')
  await world.signedIn(viewer.viewer.login)
  const { sessions } = await owner.query<{ sessions: { id: string; current: boolean }[] }>(
    '{ sessions { id current } }',
  )
  const ids = {
    id: account.id,
    ids: tweet?.id,
    accountId: account.id,
    reconnectAccountId: account.id,
    tweetId: tweet?.id,
    connectAttemptId: startXConnect.connectAttempt?.id,
    apiTokenId: createApiToken.apiToken?.id,
    webhookEndpointId,
    webhookDeliveryId,
    sessionId: sessions.find(({ current }) => !current)?.id,
  }
  return Object.fromEntries(Object.entries(ids).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function findTakers(root: GraphQLObjectType): Taker[] {
  const keyword = root === schema.getMutationType() ? 'mutation' : 'query'
  const fields = Object.values(root.getFields()).filter((field) => !isAdministration(field))
  return fields.flatMap((field) => {
    const selection = selectAll(getNamedType(field.type), 0)
    const write = (name: string, type: string, call: string) => ({
      field: field.name,
      name,
      document: `${keyword}($id:${type}){${field.name}(${call})${selection}}`,
    })
    const required = field.args.filter(isRequiredArgument)
    return field.args.flatMap((arg) => {
      const named = getNamedType(arg.type)
      const others = required.filter((one) => one !== arg).map((one) => `${one.name}:${literal(one.type)}`)
      if (named.name === 'ID') return [write(arg.name, String(arg.type), [...others, `${arg.name}:$id`].join())]
      if (!isInputObjectType(named)) return []
      const members = Object.values(named.getFields())
      return members
        .filter((member) => getNamedType(member.type).name === 'ID')
        .map((member) => {
          const beside = members.filter((one) => one !== member && isRequiredInputField(one))
          const values = [...beside.map((one) => `${one.name}:${literal(one.type)}`), `${member.name}:$id`]
          return write(member.name, String(member.type), [...others, `${arg.name}:{${values.join()}}`].join())
        })
    })
  })
}

/** All fields of a type without required arguments, with theirs. */
function selectAll(type: GraphQLNamedType, depth: number): string {
  if (isInterfaceType(type)) return '{__typename id}'
  if (!isObjectType(type)) return ''
  const fields = Object.values(type.getFields()).filter((field) => {
    const isBelow = isLeafType(getNamedType(field.type)) || depth < 3
    // A document with a field for operators is refused as a whole, with any id.
    const rule = findAccessRule(field)
    const isOperators = rule?.operator !== undefined && rule.scope === undefined
    // A connection has the same objects twice, and a document with both would be too large.
    const isRepeated = field.name === 'edges' && 'nodes' in type.getFields()
    return isBelow && !isOperators && !isRepeated && !field.args.some(isRequiredArgument)
  })
  return `{${fields.map((field) => `${field.name}${selectAll(getNamedType(field.type), depth + 1)}`).join(' ')}}`
}
