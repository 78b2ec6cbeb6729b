// The complexity of mutations: the rows that each may write. A row that it deletes was counted when it
// was written.
import type { GraphQLSchema } from 'graphql'
import { defaultUserLimits } from '../config/user-limits.ts'

// Of a call of another service, for which the caller waits.
const SERVICE_COMPLEXITY = 500
/** The complexity of a row that is written, so that 1 point pays for 16. */
export const ROW_COMPLEXITY = 6
// An event, the counter and the turn of its user, and a delivery for each endpoint of the user. The
// operator's copy, with deliveries to the operator's endpoints, is the operator's choice.
const ROWS_OF_EVENT = 3 + defaultUserLimits.webhookEndpoints

/** The most that a mutation does. */
export type Work = {
  /** The rows that it inserts or updates, without those of events. */
  rows: number
  /** The events that it records. */
  events?: number
  /** True when its caller waits for another service. */
  callsService?: boolean
}

/** The complexity of a mutation. */
export function mutationComplexity({ rows, events = 0, callsService = false }: Work): number {
  return Math.max((rows + events * ROWS_OF_EVENT) * ROW_COMPLEXITY, callsService ? SERVICE_COMPLEXITY : 0)
}

/**
 * Adds the complexity of each mutation to its description.
 * @throws Error for a mutation that does not state it.
 */
export function describeMutationCosts(schema: GraphQLSchema): void {
  for (const [name, field] of Object.entries(schema.getMutationType()?.getFields() ?? {})) {
    const { complexity } = field.extensions
    // Pothos gives a field that states none the complexity of a single field.
    if (typeof complexity !== 'number' || complexity < ROW_COMPLEXITY)
      throw new Error(`Bug: ${name} does not state its work as mutationComplexity`)
    field.description = `${field.description}\n\nCounts ${complexity.toLocaleString('en')} towards the complexity of its document.`
  }
}
