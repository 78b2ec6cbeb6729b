import type { BlockPageName } from '../x/block-pages.ts'
import type { ProblemName } from '../x/problems.ts'

/** Faults that a test plants between the network and the two providers. "Act" means: do what the request asks for. */
export type Fault = {
  match?: {
    method?: string
    /** Exact path, or the source of a regular expression that must match the whole path. */
    path?: string
    /** Parameters of form, JSON or query that must be so, such as `{ grant_type: 'refresh_token' }`. */
    parameters?: Record<string, string>
  }
  /** How many requests it hits; 1 when absent, null or Infinity for all. */
  times?: number | null
  /** Lets the first so many matching requests pass. */
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
  /** Something in front of X answers; with `act` X has acted, and its answer was replaced on the way. */
  | { kind: 'blockPage'; page: BlockPageName; act?: boolean }
  | { kind: 'dropBefore' }
  | { kind: 'dropAfter' }
  /** Acts, sends the head and half of the body, then cuts the connection. */
  | { kind: 'cutHalfway' }
  | { kind: 'redirect'; location: string; status?: number }
  /** A 200 with so many bytes of JSON white space; `gzip` sends them compressed. */
  | { kind: 'oversized'; bytes: number; gzip?: boolean; act?: boolean }
  | { kind: 'malformed'; body?: string; contentType?: string; status?: number; act?: boolean }
  | { kind: 'hang'; act?: boolean }
  /** Acts, then sends the real answer a byte at a time. */
  | { kind: 'drip'; bytesPerSecond?: number }
  /** Acts, then changes the answer: fields merged over its JSON, `omit` taken out, or a whole other body as a string. */
  | {
      kind: 'answer'
      status?: number
      body?: Record<string, unknown> | string
      omit?: string[]
      headers?: Record<string, string>
    }

export type PlantedFault = Fault & { id: string; hits: number; passed: number }

export type RequestShape = { method: string; path: string; parameters: Record<string, string> }

export type Faults = {
  inject(fault: Fault): string
  clear(): void
  list(): PlantedFault[]
  /** Delays that apply to the request, then at most one fault that is no delay; each counted as hit. */
  take(request: RequestShape): PlantedFault[]
}

/** @param random decides about faults that have a probability. */
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
