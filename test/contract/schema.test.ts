import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'
import {
  buildSchema,
  type GraphQLArgument,
  type GraphQLInputField,
  type GraphQLNamedType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedDirective,
  isSpecifiedScalarType,
  Kind,
  parse,
  validate,
} from 'graphql'
import { describe, expect, test } from 'vitest'
import { errorCodes } from '../../src/error-codes.ts'
import { printSdl, schema } from '../../src/graphql/schema.ts'
import { printOperationTypes } from '../support/operation-types.ts'
import { listOperations } from '../support/operations.ts'

const types = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
)

/**
 * Returns every named part of the schema: types, fields, arguments, input fields and enum values.
 */
function* listMembers(): Generator<{ place: string; name: string; description: string | null | undefined }> {
  for (const type of types) {
    yield { place: type.name, name: type.name, description: type.description }
    if (isEnumType(type)) {
      for (const { name, description } of type.getValues()) yield { place: `${type.name}.${name}`, name, description }
    }
    if (!isObjectType(type) && !isInputObjectType(type)) continue
    for (const field of Object.values(type.getFields())) {
      yield { place: `${type.name}.${field.name}`, name: field.name, description: field.description }
      for (const { name, description } of 'args' in field ? field.args : [])
        yield { place: `${type.name}.${field.name}(${name})`, name, description }
    }
  }
}

describe('the published schema', () => {
  test('is the one that npm run schema prints', () => {
    expect(readFileSync(path.join(import.meta.dirname, '../../schema/schema.graphql'), 'utf8')).toBe(printSdl())
  })

  test('has the operation types that npm run schema prints', async () => {
    const printed = readFileSync(path.join(import.meta.dirname, '../../src/console/operation-types.ts'), 'utf8')
    expect(printed).toBe(await printOperationTypes())
    // Types alone: stripped, the module is empty.
    expect(stripTypeScriptTypes(printed).replaceAll(/\/\/.*|\/\*[\s\S]*?\*\/|[\s;]/g, '')).toBe('')
  })

  test('describes every type, field, argument, input field and enum value', () => {
    const members = [...listMembers()]
    expect(members.length).toBeGreaterThan(150)
    expect(
      members.filter(({ description }) => (description ?? '').trim().length < 5).map(({ place }) => place),
    ).toEqual([])
    expect(schema.getDirectives().filter((directive) => !isSpecifiedDirective(directive))).toEqual([])
  })

  test('L-08 has no input or output for a token, a code or a secret, except for API tokens and webhook secrets when they are created', () => {
    const forbidden = /token|secret|password|verifier|bearer|authorizationcode|refresh|credential|^code$|^state$/i
    const named = [...listMembers()]
      .filter(({ name }) => forbidden.test(name.replaceAll('_', '')))
      .map(({ place }) => place)
    // Names of errors and events, expiry and health of a token, and the id of one: none of these
    // can hold one.
    const harmless = named.filter(
      (place) => !/^(ErrorCode|AccountStatusReason|TokenEvent|EventType|WebhookError)(\.|$)/.test(place),
    )
    const aboutApiTokens =
      /^(ApiToken|(Create|Revoke)ApiToken(Input|Payload)|Query\.apiTokens|Mutation\.(create|revoke)ApiToken)/
    expect(harmless.filter((place) => aboutApiTokens.test(place) && /secret/i.test(place))).toEqual([
      'CreateApiTokenPayload.secret',
    ])
    expect(harmless.filter((place) => !aboutApiTokens.test(place)).toSorted()).toEqual([
      'ConnectedAccount.accessTokenExpiresAt',
      'ConnectedAccount.tokenHealth',
      // The secret of a webhook endpoint is shown once, because its receiver needs it.
      'CreateWebhookEndpointPayload.secret',
      'Event.apiTokenId',
      'Mutation.rotateWebhookSecret',
      'RotateWebhookSecretInput',
      'RotateWebhookSecretPayload',
      'RotateWebhookSecretPayload.secret',
      'TokenHealth',
      'User.apiTokens',
      'UserError.code',
      'WebhookEndpoint.previousSecretEndsAt',
    ])
    expect(describeMembers(schema.getType('TokenHealth'))).toEqual({
      lastEvent: expect.stringMatching(/^\(\): TokenEvent!?$/),
      lastEventAt: expect.stringMatching(/^\(\): DateTime!?$/),
      nextTryAt: expect.stringMatching(/^\(\): DateTime!?$/),
    })
    expect(Object.keys(describeMembers(schema.getType('ApiToken'))).toSorted()).toEqual(
      'createdAt expiresAt id lastFour lastUsedAt name prefix revokedAt scopes status'.split(' '),
    )
  })

  test('publishes every error code of the closed list, with its sentence', () => {
    const type = schema.getType('ErrorCode')
    const published = isEnumType(type) ? type.getValues().map(({ name, description }) => [name, description]) : []
    expect(published.toSorted()).toEqual(
      Object.entries(errorCodes)
        .map(([code, { sentence }]) => [code, sentence])
        .toSorted(),
    )
  })

  test('returns from every mutation a nullable payload type of its own, which has userErrors', () => {
    const fields = Object.values(schema.getMutationType()?.getFields() ?? {})
    for (const { name, type } of fields) {
      expect(String(type), name).toBe(`${name.charAt(0).toUpperCase()}${name.slice(1)}Payload`)
      const payload = schema.getType(String(type))
      expect(String(isObjectType(payload) && payload.getFields().userErrors?.type)).toBe('[UserError!]!')
    }
  })

  test('names every argument and input field for an id after the type of the object', () => {
    const inputs = types.flatMap((type) => {
      if (isInputObjectType(type)) return Object.values(type.getFields())
      return isObjectType(type) ? Object.values(type.getFields()).flatMap((field) => field.args) : []
    })
    const ids = inputs.filter(({ type }) => getNamedType(type).name === 'ID')
    expect(ids.length).toBeGreaterThan(10)
    // `node` and `nodes` alone take an id of any type.
    expect(ids.map(({ name }) => name).filter((name) => !/^[a-z]\w*Ids?$/.test(name))).toEqual(['id', 'ids'])
  })
})

describe('every published operation', () => {
  test.each(listOperations())('$file is one named operation that is valid by the schema', ({ file, document }) => {
    const parsed = parse(document)
    expect(validate(schema, parsed)).toEqual([])
    const operations = parsed.definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION)
    expect(operations).toHaveLength(1)
    const kebab = operations[0]?.name?.value.replace(/(?<!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()
    expect(`${kebab}.graphql`).toBe(file)
  })

  test('there is one for each query and mutation of the schema', () => {
    const roots = [schema.getQueryType(), schema.getMutationType()].flatMap((type) =>
      Object.keys(type?.getFields() ?? {}),
    )
    const documents = listOperations()
      .map(({ document }) => document)
      .join('\n')
    expect(roots.filter((name) => !new RegExp(`^ {2}${name}\\b`, 'm').test(documents))).toEqual([])
  })
})

// The part of the schema that clients were promised before the first release.
const promised = buildSchema(`
  scalar DateTime
  type Query {
    viewer: User
    connectedAccounts(includeDisconnected: Boolean = false): [ConnectedAccount!]!
    connectedAccount(accountId: ID!): ConnectedAccount
    connectAttempt(connectAttemptId: ID!): ConnectAttempt
    tweet(tweetId: ID!): Tweet
    tweets(first: Int, after: String, last: Int, before: String, accountId: ID): TweetConnection!
  }
  type Mutation {
    startXConnect(input: StartXConnectInput): StartXConnectPayload
    disconnectAccount(input: DisconnectAccountInput!): DisconnectAccountPayload
    postTweet(input: PostTweetInput!): PostTweetPayload
    deleteTweet(input: DeleteTweetInput!): DeleteTweetPayload
    signOut: SignOutPayload
  }
  input StartXConnectInput { returnTo: String, scopes: [String!], expectedUsername: String, reconnectAccountId: ID }
  input DisconnectAccountInput { accountId: ID! }
  input DeleteTweetInput { tweetId: ID! }
  input PostTweetInput {
    text: String!, accountId: ID, idempotencyKey: String, replyToXTweetId: ID, replySettings: ReplySettings, madeWithAi: Boolean
  }
  type ConnectedAccount {
    id: ID!, provider: Provider!, providerAccountId: ID!, username: String!, displayName: String, avatarUrl: String,
    scopes: [String!]!, missingScopes: [String!]!, status: AccountStatus!, statusReason: AccountStatusReason, statusSince: DateTime!,
    nextAction: AccountAction, connectedAt: DateTime!, lastUsedAt: DateTime, accessTokenExpiresAt: DateTime
  }
  type Tweet {
    id: ID!, xTweetId: ID, url: String, text: String!, status: TweetStatus!, error: UserError, account: ConnectedAccount!,
    createdAt: DateTime!, postedAt: DateTime
  }
  type UserError { code: ErrorCode!, message: String!, field: [String!], retryable: Boolean!, retryAt: DateTime }
  type StartXConnectPayload { authorizationUrl: String, connectAttempt: ConnectAttempt, userErrors: [UserError!]! }
  type DisconnectAccountPayload { account: ConnectedAccount, userErrors: [UserError!]! }
  type PostTweetPayload { tweet: Tweet, userErrors: [UserError!]! }
  type DeleteTweetPayload { tweet: Tweet, userErrors: [UserError!]! }
  type SignOutPayload { signedOut: Boolean!, userErrors: [UserError!]! }
  type User { id: ID! }
  type ConnectAttempt { id: ID! }
  type TweetConnection { edges: [TweetEdge!]!, pageInfo: PageInfo! }
  type TweetEdge { node: Tweet!, cursor: String! }
  type PageInfo { hasNextPage: Boolean!, hasPreviousPage: Boolean!, startCursor: String, endCursor: String }
  enum Provider { X }
  enum AccountStatus { ACTIVE LIMITED NEEDS_REAUTH DISCONNECTED }
  enum AccountStatusReason { GRANT_REVOKED REFRESH_LOST }
  enum AccountAction { RECONNECT }
  enum TweetStatus { PENDING POSTED FAILED UNKNOWN DELETED }
  enum ReplySettings { FOLLOWING MENTIONED_USERS SUBSCRIBERS VERIFIED }
  enum ErrorCode {
    ATTEMPT_EXPIRED ATTEMPT_UNKNOWN ATTEMPT_ALREADY_USED SESSION_MISSING SESSION_MISMATCH ACCESS_DENIED WRONG_ACCOUNT
    ACCOUNT_CONNECTED_TO_ANOTHER_USER CODE_REJECTED SCOPES_MISSING X_UNAVAILABLE
    UNAUTHENTICATED FORBIDDEN BAD_USER_INPUT RATE_LIMITED X_RATE_LIMITED INTERNAL ACCOUNT_AMBIGUOUS IDEMPOTENCY_KEY_REUSED
  }
`)

describe('the promised part of the schema has exactly this signature', () => {
  const promisedTypes = Object.values(promised.getTypeMap()).filter(
    (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
  )

  test.each(promisedTypes.map((type) => [type.name, type] as const))('%s', (name, type) => {
    const actual = describeMembers(schema.getType(name))
    expect(Object.fromEntries(Object.keys(describeMembers(type)).map((member) => [member, actual[member]]))).toEqual(
      describeMembers(type),
    )
  })

  test('the enums of statuses have no other values', () => {
    for (const name of ['AccountStatus', 'TweetStatus', 'Provider', 'ReplySettings'])
      expect(describeMembers(schema.getType(name))).toEqual(describeMembers(promised.getType(name)))
  })

  test('startXConnect needs no input', () => {
    expect(validate(schema, parse('mutation { startXConnect { authorizationUrl } }'))).toEqual([])
  })
})

/** Returns the signatures of a type's members by name. */
function describeMembers(type: GraphQLNamedType | undefined): Record<string, string> {
  if (isEnumType(type)) return Object.fromEntries(type.getValues().map(({ name }) => [name, 'value']))
  if (!isObjectType(type) && !isInputObjectType(type)) return { kind: type?.constructor.name ?? 'missing' }
  return Object.fromEntries(
    Object.values(type.getFields()).map((field) => {
      const args = 'args' in field ? field.args.map(signature).toSorted().join(', ') : ''
      return [field.name, `(${args}): ${'args' in field ? field.type : signature(field)}`]
    }),
  )
}

function signature({ name, type, defaultValue }: GraphQLArgument | GraphQLInputField): string {
  return `${name}: ${type}${defaultValue === undefined ? '' : ` = ${JSON.stringify(defaultValue)}`}`
}
