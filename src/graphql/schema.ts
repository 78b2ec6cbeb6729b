import { lexicographicSortSchema, printSchema } from 'graphql'
import './api-token.ts'
import { builder } from './builder.ts'
import './connect-attempt.ts'
import './connected-account.ts'
import './event.ts'
import './linked-user.ts'
import { describeNeeds } from './needs.ts'
import { noteUserErrors } from './notes.ts'
import './rate-limit.ts'
import './session.ts'
import './tweet.ts'
import './user.ts'
import './user-error.ts'
import './webhook-delivery.ts'
import './webhook-endpoint.ts'

/** The executable schema. */
export const schema = builder.toSchema()
describeNeeds(schema)
noteUserErrors(schema)

/** The SDL as it is published in schema/schema.graphql. */
export function printSdl(): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`
}
