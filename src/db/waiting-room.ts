// Queries that wait for a connection. Callers take turns, so that a caller who sends many delays
// only their own, and some connections are kept for the probe, the background and other callers.
// Short queries that wait share a turn: sent and received one by one, they cost more in system
// calls than in PostgreSQL.
import { type CallerKind, currentCaller, keepCaller } from './caller.ts'
import { DatabaseQueueFullError } from './outage.ts'

/** The queue of a pool of connections. */
export type WaitingRoom = {
  /**
   * Starts the work of the current caller, at once or when it is its turn. Its connection is free
   * when the work settles.
   * @param start gets the turn when other short work shares it; null otherwise.
   * @param refuse is called instead of `start`, now or later, with a DatabaseQueueFullError.
   * @param isShort true for one query that takes no longer than its way to the database, waits for
   *   no lock, and does not depend on the caller.
   * @returns a function that gives the place up. It returns false when the work has started.
   */
  enter(start: Start, refuse: (error: Error) => void, isShort?: boolean): () => boolean
  /** The turns that run and the work that waits now, by kind of caller. */
  usage(): { caller: CallerKind; running: number; waiting: number }[]
}

/**
 * A turn of several queries, which follow one another over one connection (patches/9-turns.patch).
 */
export type Turn = { connection: unknown }

export type WaitingRoomOptions = {
  /**
   * True for a database that runs in this process: requests are read between its queries, which
   * would otherwise run one after the other until none waits.
   */
  isInProcess?: boolean
  /** The most short queries in one turn. */
  maxShared?: number
}

type Start = (turn: Turn | null) => PromiseLike<unknown>

// More would wait longer than their clients do.
const MAX_WAITING = 600
const MAX_WAITING_OF_CALLER = 200

const kinds: readonly CallerKind[] = ['PROBE', 'BACKGROUND', 'IDENTIFIED', 'ANONYMOUS']
const callerKinds: readonly CallerKind[] = ['IDENTIFIED', 'ANONYMOUS']

type Entry = { start: Start; refuse: (error: Error) => void; isShort: boolean; caller: CallerState }
/** `running` is the number of turns. */
type CallerState = { readonly kind: CallerKind; readonly subject: string; running: number; waiting: Entry[] }
/** The callers of one kind who wait or have work running, in the order of their turns. */
type Lane = { running: number; waiting: number; callers: Map<string, CallerState> }

/**
 * Creates the queue.
 * @param connections how many turns run at once. Of four or more, one is kept for the probe, one
 *   for the background, and one for each kind of callers. One caller gets half of all.
 */
export function createWaitingRoom(
  connections: number,
  { isInProcess = false, maxShared = 1 }: WaitingRoomOptions = {},
): WaitingRoom {
  const reserve = connections < 4 ? 0 : 1
  const maxOfCaller = Math.ceil(connections / 2)
  const maxOfCallers = connections - 2 * reserve
  const lanes: Record<CallerKind, Lane> = {
    PROBE: createLane(),
    BACKGROUND: createLane(),
    IDENTIFIED: createLane(),
    ANONYMOUS: createLane(),
  }
  const { PROBE, BACKGROUND, IDENTIFIED, ANONYMOUS } = lanes
  const countWaiting = () => PROBE.waiting + BACKGROUND.waiting + IDENTIFIED.waiting + ANONYMOUS.waiting
  let lastServed = 0

  const hasConnection = (kind: CallerKind): boolean => {
    const ofCallers = IDENTIFIED.running + ANONYMOUS.running
    const free = connections - PROBE.running - BACKGROUND.running - ofCallers
    if (kind === 'PROBE') return free > 0
    if (free <= reserve) return false
    return (
      kind === 'BACKGROUND' || (ofCallers < maxOfCallers && lanes[kind].running < Math.max(maxOfCallers - reserve, 1))
    )
  }

  // Takes the first entry of the next caller of a kind that may have a turn.
  const takeNext = (kind: CallerKind, isAllowed: (caller: CallerState, first: Entry) => boolean): Entry | null => {
    const { callers } = lanes[kind]
    for (const [subject, caller] of callers) {
      const [first] = caller.waiting
      if (first === undefined || !isAllowed(caller, first)) continue
      callers.delete(subject)
      callers.set(subject, caller)
      caller.waiting.shift()
      lanes[kind].waiting -= 1
      return first
    }
    return null
  }
  const hasTurnLeft = (caller: CallerState) => caller.running < maxOfCaller

  // The kinds take turns, and so do the callers of a kind.
  const takeTurn = (): { kind: CallerKind; entries: Entry[] } | null => {
    for (let step = 1; step <= kinds.length; step++) {
      const index = (lastServed + step) % kinds.length
      const kind = kinds[index]
      if (kind === undefined || lanes[kind].waiting === 0 || !hasConnection(kind)) continue
      const first = takeNext(kind, hasTurnLeft)
      if (first === null) continue
      lastServed = index
      return { kind, entries: first.isShort ? share(kind, first) : [first] }
    }
    return null
  }
  const share = (kind: CallerKind, first: Entry): Entry[] => {
    const entries = [first]
    const isAllowed = (caller: CallerState, { isShort }: Entry) =>
      isShort && (hasTurnLeft(caller) || entries.some((entry) => entry.caller === caller))
    while (entries.length < maxShared) {
      const next = takeNext(kind, isAllowed)
      if (next === null) break
      entries.push(next)
    }
    return entries
  }
  const serve = () => {
    for (let turn = takeTurn(); turn !== null; turn = takeTurn()) run(turn.kind, turn.entries)
  }
  const forget = (caller: CallerState) => {
    if (caller.running === 0 && caller.waiting.length === 0) lanes[caller.kind].callers.delete(caller.subject)
  }
  const run = (kind: CallerKind, entries: readonly Entry[]) => {
    const callers = new Set(entries.map(({ caller }) => caller))
    const turn = entries.length === 1 ? null : { connection: null }
    let unsettled = entries.length
    for (const caller of callers) caller.running += 1
    lanes[kind].running += 1
    const free = () => {
      lanes[kind].running -= 1
      for (const caller of callers) {
        caller.running -= 1
        forget(caller)
      }
      serve()
    }
    const end = () => {
      unsettled -= 1
      if (unsettled > 0) return
      if (isInProcess && countWaiting() > 0) setImmediate(free)
      else free()
    }
    for (const { start, refuse } of entries) {
      try {
        start(turn).then(end, end)
      } catch (error) {
        refuse(error instanceof Error ? error : new Error('The query could not be started', { cause: error }))
        end()
      }
    }
  }

  const remove = (entry: Entry): boolean => {
    const { caller } = entry
    const index = caller.waiting.indexOf(entry)
    if (index < 0) return false
    caller.waiting.splice(index, 1)
    lanes[caller.kind].waiting -= 1
    forget(caller)
    return true
  }

  // In a full room the last entry of the caller with the most gives way to a caller with less, and
  // one of those who are not identified to one who is. Returns the one that gives way.
  const findVictim = (newcomer: CallerState): Entry | null => {
    const most = (which: readonly CallerKind[]) =>
      which
        .flatMap((kind) => [...lanes[kind].callers.values()])
        .reduce((longest, caller) => (caller.waiting.length > longest.waiting.length ? caller : longest), newcomer)
    const anonymous = newcomer.kind === 'IDENTIFIED' ? [...ANONYMOUS.callers.values()] : []
    const weaker = anonymous.toSorted((a, b) => b.waiting.length - a.waiting.length)[0]?.waiting.at(-1)
    if (weaker !== undefined) return weaker
    const longest = most(callerKinds)
    return longest.waiting.length > newcomer.waiting.length + 1 ? (longest.waiting.at(-1) ?? null) : null
  }
  const makeRoom = (newcomer: CallerState): boolean => {
    if (newcomer.kind === 'PROBE') return true
    if (newcomer.kind === 'BACKGROUND') return BACKGROUND.waiting < MAX_WAITING
    if (newcomer.waiting.length >= MAX_WAITING_OF_CALLER) return false
    if (IDENTIFIED.waiting + ANONYMOUS.waiting < MAX_WAITING) return true
    const victim = findVictim(newcomer)
    if (victim === null) return false
    remove(victim)
    victim.refuse(new DatabaseQueueFullError('Too many queries wait for the database, most of them of this caller'))
    return true
  }

  const findState = (): CallerState => {
    const { kind, subject } = currentCaller()
    const { callers } = lanes[kind]
    const known = callers.get(subject)
    if (known !== undefined) return known
    const caller = { kind, subject, running: 0, waiting: [] }
    callers.set(subject, caller)
    return caller
  }

  return {
    usage: () => kinds.map((caller) => ({ caller, running: lanes[caller].running, waiting: lanes[caller].waiting })),
    enter: (start, refuse, isShort = false) => {
      const caller = findState()
      if (caller.waiting.length === 0 && hasTurnLeft(caller) && hasConnection(caller.kind)) {
        run(caller.kind, [{ start, refuse, isShort, caller }])
        return hasStarted
      }
      if (!makeRoom(caller)) {
        forget(caller)
        refuse(new DatabaseQueueFullError('Too many queries of this caller wait for the database'))
        return () => true
      }
      // A turn comes while another caller's code runs.
      const entry = { start: isShort ? start : keepCaller(start), refuse, isShort, caller }
      caller.waiting.push(entry)
      lanes[caller.kind].waiting += 1
      return () => remove(entry)
    },
  }
}

const hasStarted = () => false

function createLane(): Lane {
  return { running: 0, waiting: 0, callers: new Map() }
}
