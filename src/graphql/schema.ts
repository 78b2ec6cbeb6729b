import { lexicographicSortSchema, printSchema } from 'graphql'
import './types/admin.ts'
import './types/api-token.ts'
import { builder } from './builder.ts'
import './types/connect-attempt.ts'
import './types/connected-account.ts'
import './types/event.ts'
import './types/linked-user.ts'
import './types/node.ts'
import { describeAccessRules, enforceAccessRules } from './access.ts'
import { describeMutationCosts } from './mutation-cost.ts'
import { recordUserErrors } from './operation-log.ts'
import './types/rate-limit.ts'
import './types/session.ts'
import './types/tweet.ts'
import './types/user.ts'
import './types/user-deletion.ts'
import './types/viewer.ts'
import './payload.ts'
import './types/webhook-delivery.ts'
import './types/webhook-endpoint.ts'

/** The executable schema. */
export const schema = builder.toSchema({ disableScopeAuth: true })
describeMutationCosts(schema)
describeAccessRules(schema)
enforceAccessRules(schema)
recordUserErrors(schema)

/** The SDL as it is published in schema/schema.graphql. */
export function printSdl(): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`
}
