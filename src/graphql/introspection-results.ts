// Results of introspection. They depend on the schema alone, not on the caller, so that each is
// executed and written as JSON once.
import { type FragmentDefinitionNode, Kind, type OperationDefinitionNode, type SelectionSetNode } from 'graphql'
import { isPromise, type MaybePromise, type PlanResult } from './execution.ts'

type Fragments = { readonly [name: string]: FragmentDefinitionNode }
type Variables = { [name: string]: unknown }
type Execute = (contextValue: unknown, variables: Variables) => MaybePromise<PlanResult>

// Tools send a few combinations of variables. Those that a client invents push each other out.
const MAX_RESULTS = 8
const MAX_KEY_CHARACTERS = 1_000
const BYTES_PER_CHARACTER = 2

/** Returns true for a query with no root fields but `__schema`, `__type` and `__typename`. */
export function isIntrospection({ operation, selectionSet }: OperationDefinitionNode, fragments: Fragments): boolean {
  return operation === 'query' && hasOnlyMetaFields(selectionSet, fragments, new Set())
}

/**
 * Returns an execution that keeps the results of another, by their variables.
 * @param onGrow is called with the bytes that the kept results grow by, or shrink by below 0.
 */
export function keepResults(execute: Execute, onGrow: (bytes: number) => void): Execute {
  const kept = new Map<string, string>()
  return (contextValue, variables) => {
    const key = JSON.stringify(variables)
    const known = kept.get(key)
    if (known !== undefined) return describeKept(known)
    const result = execute(contextValue, variables)
    if (isPromise(result) || result.errors !== undefined || key.length > MAX_KEY_CHARACTERS) return result
    const json = result.stringify?.() ?? JSON.stringify(result)
    kept.set(key, json)
    onGrow(json.length * BYTES_PER_CHARACTER)
    const [oldest] = kept
    if (kept.size > MAX_RESULTS && oldest !== undefined) {
      kept.delete(oldest[0])
      onGrow(-oldest[1].length * BYTES_PER_CHARACTER)
    }
    return describeKept(json)
  }
}

// The data is parsed only for a reader of it. A response is written by `stringify`.
function describeKept(json: string): PlanResult {
  return {
    get data() {
      return JSON.parse(json).data
    },
    stringify: () => json,
  }
}

// Each fragment is looked at once: fragments that spread each other twice are exponentially many.
function hasOnlyMetaFields(
  { selections }: SelectionSetNode,
  fragments: Fragments,
  seen: Set<SelectionSetNode>,
): boolean {
  return selections.every((selection) => {
    if (selection.kind === Kind.FIELD) return selection.name.value.startsWith('__')
    const fragment = selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments[selection.name.value]
    if (fragment === undefined || seen.has(fragment.selectionSet)) return fragment !== undefined
    seen.add(fragment.selectionSet)
    return hasOnlyMetaFields(fragment.selectionSet, fragments, seen)
  })
}
