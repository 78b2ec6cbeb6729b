// Prepared documents. What is known of a valid document does not depend on the request or the
// viewer, and is computed once for each distinct text. The most recently used ones are kept, bounded
// in bytes, so that texts which a client invents push each other out and leave nothing behind.
// Texts that do not parse or validate are never kept.
import { type DocumentNode, type GraphQLSchema, Kind, type OperationDefinitionNode } from 'graphql'
import { listRuledFields, type RuledFields } from './access.ts'
import { createCostFunction, type OperationCost } from './cost.ts'
import { createOperationPlanner, listFragments, type OperationPlan, type OperationPlanner } from './execution-plan.ts'
import { describeOperation, type OperationDescription } from './operation-log.ts'

/** A valid document, with what is known of it. */
export type PreparedDocument = {
  document: DocumentNode
  /** Judged for each viewer. */
  ruledFields: RuledFields
  /**
   * The operations by their names; one without a name under null. Each is prepared when it is first
   * asked for: a document can have more than a hundred.
   */
  operations: ReadonlyMap<string | null, () => PreparedOperation>
}

/** An operation of a prepared document. */
export type PreparedOperation = {
  operation: OperationDefinitionNode
  description: OperationDescription
  calculateCost(variables: Record<string, unknown>): OperationCost
  /** Null for a subscription. */
  plan: OperationPlan | null
}

/** The prepared documents of a schema. */
export type PreparedDocuments = {
  /** Returns the prepared document with this text; null when it is not kept. */
  find(text: string): PreparedDocument | null
  /** Returns what is known of a document that `add` or `find` has returned; null for any other. */
  of(document: DocumentNode): PreparedDocument | null
  /** Prepares a valid document, and keeps it. */
  add(text: string, document: DocumentNode): PreparedDocument
  /** The number of documents that are kept. */
  size(): number
  /** The estimated size of the documents that are kept. */
  bytes(): number
}

/** Dozens of the largest documents, and thousands of those that front ends send. */
export const MAX_PREPARED_BYTES = 32 * 1024 * 1024

// Measured with documents of many forms, and rounded up: a token with its part of the syntax tree, and
// what every document has.
const BYTES_PER_TOKEN = 400
const BYTES_PER_DOCUMENT = 4_000

/**
 * Creates the store of a schema's prepared documents.
 * @param maxResponseBytes the most bytes of a response.
 */
export function createPreparedDocuments(
  schema: GraphQLSchema,
  maxBytes = MAX_PREPARED_BYTES,
  maxResponseBytes = Number.POSITIVE_INFINITY,
): PreparedDocuments {
  const planOperation = createOperationPlanner(schema, maxResponseBytes)
  // In the order of their last use: a map keeps the order in which keys were set.
  const kept = new Map<string, Entry>()
  const prepared = new WeakMap<DocumentNode, PreparedDocument>()
  let bytes = 0
  const grow = (text: string, entry: Entry, added: number) => {
    entry.bytes += added
    // A plan grows while its document is executed, by which time others may have replaced it.
    if (kept.get(text) !== entry) return
    bytes += added
    for (const [oldest, { bytes: freed }] of kept) {
      if (bytes <= maxBytes) return
      kept.delete(oldest)
      bytes -= freed
    }
  }
  return {
    find: (text) => {
      const entry = kept.get(text)
      if (entry === undefined) return null
      kept.delete(text)
      kept.set(text, entry)
      return entry.document
    },
    of: (document) => prepared.get(document) ?? null,
    add: (text, document) => {
      const onGrow = (added: number) => grow(text, entry, added)
      const added = prepareDocument(schema, document, planOperation, onGrow)
      const entry = { document: added, bytes: 0 }
      bytes -= kept.get(text)?.bytes ?? 0
      kept.set(text, entry)
      grow(text, entry, estimateBytes(text, document))
      prepared.set(document, added)
      return added
    },
    size: () => kept.size,
    bytes: () => bytes,
  }
}

/**
 * Returns the operation with this name, or the only one if the name is absent; null when there is
 * none.
 */
export function findOperation({ operations }: PreparedDocument, name: unknown): PreparedOperation | null {
  if (name == null) return operations.size === 1 ? ([...operations.values()][0]?.() ?? null) : null
  return typeof name === 'string' ? (operations.get(name)?.() ?? null) : null
}

type Entry = { document: PreparedDocument; bytes: number }

function prepareDocument(
  schema: GraphQLSchema,
  document: DocumentNode,
  planOperation: OperationPlanner,
  onGrow: (bytes: number) => void,
): PreparedDocument {
  const fragments = listFragments(document)
  const operations = document.definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION)
  return {
    document,
    ruledFields: listRuledFields(schema, document),
    operations: new Map(
      operations.map((operation) => [
        operation.name?.value ?? null,
        once(() => {
          // Not before it is needed: an operation that is refused first costs no measuring.
          const costFunction = once(() => createCostFunction(schema, operation, Object.values(fragments)))
          return {
            operation,
            description: describeOperation(operation),
            calculateCost: (variables: Record<string, unknown>) => costFunction()(variables),
            plan: planOperation(fragments, operation, onGrow),
          }
        }),
      ]),
    ),
  }
}

function once<T extends object>(create: () => T): () => T {
  let created: T | null = null
  return () => {
    created ??= create()
    return created
  }
}

function estimateBytes(text: string, { loc }: DocumentNode): number {
  let tokens = 0
  for (let token = loc?.startToken ?? null; token !== null; token = token.next) tokens += 1
  return BYTES_PER_DOCUMENT + 2 * text.length + tokens * BYTES_PER_TOKEN
}
