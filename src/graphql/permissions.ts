// What each scope of an API token permits, in the words that the console shows to the user who creates
// one. They follow from the access rules: the words of a scope name every field that it opens.
import { type GraphQLField, type GraphQLSchema, getNamedType, isObjectType } from 'graphql'
import type { UserScope } from '../auth/api-token.ts'
import { apiScopes } from '../db/tables.ts'
import { findAccessRule } from './access.ts'
import { tokenEventTypes } from './event-access.ts'

/** A scope with its words, such as "Post and delete tweets". */
export type Permission = { scope: UserScope; words: string }

type Ability = { verb: string; object: string }

// By the name of the mutation.
const MUTATIONS = new Map<string, Ability>([
  ['disconnectAccount', { verb: 'disconnect', object: 'X accounts' }],
  ['postTweet', { verb: 'post', object: 'tweets' }],
  ['deleteTweet', { verb: 'delete', object: 'tweets' }],
])

// By the part of the event's type before the dot.
const EVENT_SUBJECTS = new Map([
  ['account', 'X accounts'],
  ['tweet', 'tweets'],
  ['session', 'sign-ins'],
  ['token', 'API tokens'],
  ['link_visibility', 'visibility to integrators'],
  ['webhook', 'webhooks'],
  ['operator', 'acts of the operator'],
])

// By the type of the objects that are read.
const OBJECTS = new Map([
  ['ConnectedAccount', 'X accounts'],
  ['ConnectAttempt', 'attempts to connect them'],
  ['Tweet', 'tweets'],
  ['Event', `events (${[...new Set(tokenEventTypes.map(nameEventSubject))].join(', ')})`],
  ['WebhookEndpoint', 'webhook endpoints (without addresses)'],
  ['WebhookDelivery', 'webhook deliveries'],
])

const KNOWN_ABILITIES = [...MUTATIONS.values(), ...[...OBJECTS.values()].map(nameReading)]

/**
 * Returns the words of every scope.
 * @throws Error for a field that a scope opens and that has no words, and for a scope that opens
 * nothing.
 */
export function describePermissions(schema: GraphQLSchema): Permission[] {
  const opened = Object.values(schema.getTypeMap())
    .filter(isObjectType)
    .flatMap((type) =>
      Object.values(type.getFields()).map((field) => ({
        scope: findAccessRule(field)?.scope,
        name: `${type.name}.${field.name}`,
        ability: type === schema.getMutationType() ? MUTATIONS.get(field.name) : findReading(field),
      })),
    )
    .filter(({ scope }) => scope !== undefined)
  const unnamed = opened.find(({ ability }) => ability === undefined)
  if (unnamed !== undefined) throw new Error(`Bug: ${unnamed.name} has no words for the console`)
  return apiScopes.map((scope) => {
    const abilities = opened.filter((field) => field.scope === scope).map(({ ability }) => ability)
    if (abilities.length === 0) throw new Error(`Bug: the scope ${scope} opens no field`)
    return {
      scope,
      words: writeSentence(KNOWN_ABILITIES.filter((known) => abilities.some((one) => isSame(one, known)))),
    }
  })
}

function findReading(field: GraphQLField<unknown, unknown>): Ability | undefined {
  const object = OBJECTS.get(getNamedType(field.type).name.replace(/(?:Connection|Edge)$/, ''))
  return object === undefined ? undefined : nameReading(object)
}

function nameReading(object: string): Ability {
  return { verb: 'read', object }
}

function nameEventSubject(type: string): string {
  const subject = EVENT_SUBJECTS.get(type.replace(/\..*/, ''))
  if (subject === undefined) throw new Error(`Bug: the event ${type} has no words for the console`)
  return subject
}

function isSame(one: Ability | undefined, other: Ability): boolean {
  return one?.verb === other.verb && one.object === other.object
}

// One verb with several objects, or one object with several verbs.
function writeSentence(abilities: readonly Ability[]): string {
  const byVerb = [...Map.groupBy(abilities, ({ verb }) => verb)].map(([verb, those]) => ({
    verb,
    objects: list(those.map(({ object }) => object)),
  }))
  const parts = [...Map.groupBy(byVerb, ({ objects }) => objects)].map(
    ([objects, those]) => `${list(those.map(({ verb }) => verb))} ${objects}`,
  )
  const sentence = list(parts)
  return sentence.charAt(0).toUpperCase() + sentence.slice(1)
}

function list(words: Iterable<string>): string {
  return new Intl.ListFormat('en-GB').format(words)
}
