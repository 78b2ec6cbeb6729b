import type { BlockPageName } from '../x/block-pages.ts'
import type { ProblemName } from '../x/problems.ts'

/**
 * Faults that a test injects between the network and the providers. "Act" means that the provider
 * executes the request.
 */
export type Fault = {
  match?: {
    method?: string
    /** Exact path, or the source of a regular expression that must match the whole path. */
    path?: string
    /**
     * Required values of form, JSON or query parameters, such as `{ grant_type: 'refresh_token' }`.
     */
    parameters?: Record<string, string>
  }
  /** The number of requests it applies to; 1 when absent, null or Infinity for all. */
  times?: number | null
  /** The number of matching requests to skip first. */
  after?: number
  probability?: number
} & FaultKind

export type FaultKind =
  | { kind: 'delay'; milliseconds: number }
  | { kind: 'delayAfter'; milliseconds: number }
  | { kind: 'status'; status: number; body?: unknown; headers?: Record<string, string> }
  | { kind: 'statusAfter'; status: number; body?: unknown; headers?: Record<string, string> }
  | { kind: 'problem'; name: ProblemName; headers?: Record<string, string> }
  | { kind: 'problemAfter'; name: ProblemName; headers?: Record<string, string> }
  /** Something in front of X responds; with `act` X has executed the request before. */
  | { kind: 'blockPage'; page: BlockPageName; act?: boolean }
  | { kind: 'dropBefore' }
  | { kind: 'dropAfter' }
  /** Acts, sends the head and half of the body, then closes the connection. */
  | { kind: 'cutHalfway' }
  | { kind: 'redirect'; location: string; status?: number }
  /** A 200 with this many bytes of JSON white space, compressed with `gzip`. */
  | { kind: 'oversized'; bytes: number; gzip?: boolean; act?: boolean }
  | { kind: 'malformed'; body?: string; contentType?: string; status?: number; act?: boolean }
  | { kind: 'hang'; act?: boolean }
  /** Acts, then sends the response byte by byte. */
  | { kind: 'drip'; bytesPerSecond?: number }
  /**
   * Acts, then changes the response: fields merged into its JSON, `omit` removed, or another body
   * as a string.
   */
  | {
      kind: 'response'
      status?: number
      body?: Record<string, unknown> | string
      omit?: string[]
      headers?: Record<string, string>
    }

// One of each, which the compiler checks.
const knownKinds: Record<FaultKind['kind'], true> = {
  delay: true,
  delayAfter: true,
  status: true,
  statusAfter: true,
  problem: true,
  problemAfter: true,
  blockPage: true,
  dropBefore: true,
  dropAfter: true,
  cutHalfway: true,
  redirect: true,
  oversized: true,
  malformed: true,
  hang: true,
  drip: true,
  response: true,
}

/** The kinds by name. */
export const faultKinds: readonly string[] = Object.keys(knownKinds)

export type PlantedFault = Fault & { id: string; hits: number; passed: number }

export type RequestShape = { method: string; path: string; parameters: Record<string, string> }

export type Faults = {
  inject(fault: Fault): string
  clear(): void
  list(): PlantedFault[]
  /** Returns the delays for the request, then at most one other fault, and counts each. */
  take(request: RequestShape): PlantedFault[]
}

/** @param random decides whether a fault with a probability applies. */
export function createFaults(random: () => number = Math.random): Faults {
  let planted: PlantedFault[] = []
  let lastId = 0
  return {
    inject(fault) {
      if (fault.match?.path !== undefined) pathPattern(fault.match.path)
      lastId += 1
      planted.push({ ...fault, id: `fault-${lastId}`, hits: 0, passed: 0 })
      return `fault-${lastId}`
    },
    clear() {
      planted = []
    },
    list: () => structuredClone(planted),
    take(request) {
      const taken: PlantedFault[] = []
      for (const fault of planted) {
        if (!matches(fault, request) || fault.hits >= (fault.times === null ? Infinity : (fault.times ?? 1))) continue
        if (fault.passed < (fault.after ?? 0)) {
          fault.passed += 1
          continue
        }
        if (random() >= (fault.probability ?? 1)) continue
        fault.hits += 1
        taken.push(fault)
        if (fault.kind !== 'delay' && fault.kind !== 'delayAfter') break
      }
      return taken
    },
  }
}

function matches({ match }: Fault, request: RequestShape): boolean {
  if (match?.method !== undefined && match.method.toUpperCase() !== request.method) return false
  if (match?.path !== undefined && match.path !== request.path && !pathPattern(match.path).test(request.path))
    return false
  return Object.entries(match?.parameters ?? {}).every(([name, value]) => request.parameters[name] === value)
}

function pathPattern(source: string): RegExp {
  return new RegExp(`^(?:${source})$`)
}
