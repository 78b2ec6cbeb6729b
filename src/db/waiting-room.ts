// Queries that wait for a connection. Callers take turns, so that a caller who sends many delays
// only their own, and some connections are kept for the probe, the background and other callers.
import { type CallerKind, currentCaller, keepCaller } from './caller.ts'
import { DatabaseQueueFullError } from './outage.ts'

/** The queue of a pool of connections. */
export type WaitingRoom = {
  /**
   * Starts the work of the current caller, at once or when it is its turn. Its connection is free
   * when the work settles.
   * @param refuse is called instead of `start`, now or later, with a DatabaseQueueFullError.
   * @returns a function that gives the place up. It returns false when the work has started.
   */
  enter(start: () => PromiseLike<unknown>, refuse: (error: Error) => void): () => boolean
  /** The pieces of work that run and wait now, by kind of caller. */
  usage(): { caller: CallerKind; running: number; waiting: number }[]
}

// More would wait longer than their clients do.
const MAX_WAITING = 600
const MAX_WAITING_OF_CALLER = 200

const kinds: readonly CallerKind[] = ['PROBE', 'BACKGROUND', 'IDENTIFIED', 'ANONYMOUS']
const callerKinds: readonly CallerKind[] = ['IDENTIFIED', 'ANONYMOUS']

type Entry = { start: () => PromiseLike<unknown>; refuse: (error: Error) => void; caller: CallerState }
type CallerState = { readonly kind: CallerKind; readonly subject: string; running: number; waiting: Entry[] }
/** The callers of one kind who wait or have work running, in the order of their turns. */
type Lane = { running: number; waiting: number; callers: Map<string, CallerState> }

/**
 * Creates the queue.
 * @param connections how many pieces of work run at once. Of four or more, one is kept for the
 *   probe, one for the background, and one for each kind of callers. One caller gets half of all.
 * @param isInProcess true for a database that runs in this process: requests are read between its
 *   queries, which would otherwise run one after the other until none waits.
 */
export function createWaitingRoom(connections: number, { isInProcess = false } = {}): WaitingRoom {
  const reserve = connections < 4 ? 0 : 1
  const maxOfCaller = Math.ceil(connections / 2)
  const lanes: Record<CallerKind, Lane> = {
    PROBE: createLane(),
    BACKGROUND: createLane(),
    IDENTIFIED: createLane(),
    ANONYMOUS: createLane(),
  }
  const count = (which: readonly CallerKind[], what: 'running' | 'waiting') =>
    which.reduce((sum, kind) => sum + lanes[kind][what], 0)
  let lastServed = 0

  const hasConnection = (kind: CallerKind): boolean => {
    const free = connections - count(kinds, 'running')
    if (kind === 'PROBE') return free > 0
    if (free <= reserve) return false
    const most = connections - 2 * reserve
    return (
      kind === 'BACKGROUND' ||
      (count(callerKinds, 'running') < most && lanes[kind].running < Math.max(most - reserve, 1))
    )
  }

  // The kinds take turns, and so do the callers of a kind.
  const findNext = (): CallerState | null => {
    for (let step = 1; step <= kinds.length; step++) {
      const turn = (lastServed + step) % kinds.length
      const kind = kinds[turn]
      if (kind === undefined || lanes[kind].waiting === 0 || !hasConnection(kind)) continue
      const { callers } = lanes[kind]
      for (const [subject, caller] of callers) {
        if (caller.waiting.length === 0 || caller.running >= maxOfCaller) continue
        callers.delete(subject)
        callers.set(subject, caller)
        lastServed = turn
        return caller
      }
    }
    return null
  }
  const serve = () => {
    for (let caller = findNext(); caller !== null; caller = findNext()) {
      const entry = caller.waiting.shift()
      if (entry === undefined) return
      lanes[caller.kind].waiting -= 1
      run(entry)
    }
  }
  const forget = (caller: CallerState) => {
    if (caller.running === 0 && caller.waiting.length === 0) lanes[caller.kind].callers.delete(caller.subject)
  }
  const run = ({ start, refuse, caller }: Entry) => {
    caller.running += 1
    lanes[caller.kind].running += 1
    const free = () => {
      caller.running -= 1
      lanes[caller.kind].running -= 1
      forget(caller)
      serve()
    }
    const end = () => {
      if (isInProcess && count(kinds, 'waiting') > 0) setImmediate(free)
      else free()
    }
    try {
      start().then(end, end)
    } catch (error) {
      refuse(error instanceof Error ? error : new Error('The query could not be started', { cause: error }))
      end()
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
    const anonymous = newcomer.kind === 'IDENTIFIED' ? [...lanes.ANONYMOUS.callers.values()] : []
    const weaker = anonymous.toSorted((a, b) => b.waiting.length - a.waiting.length)[0]?.waiting.at(-1)
    if (weaker !== undefined) return weaker
    const longest = most(callerKinds)
    return longest.waiting.length > newcomer.waiting.length + 1 ? (longest.waiting.at(-1) ?? null) : null
  }
  const makeRoom = (newcomer: CallerState): boolean => {
    if (newcomer.kind === 'PROBE') return true
    if (newcomer.kind === 'BACKGROUND') return lanes.BACKGROUND.waiting < MAX_WAITING
    if (newcomer.waiting.length >= MAX_WAITING_OF_CALLER) return false
    if (count(callerKinds, 'waiting') < MAX_WAITING) return true
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
    enter: (start, refuse) => {
      const caller = findState()
      const isNext = caller.waiting.length === 0 && caller.running < maxOfCaller && hasConnection(caller.kind)
      if (isNext) {
        run({ start, refuse, caller })
        return () => false
      }
      if (!makeRoom(caller)) {
        forget(caller)
        refuse(new DatabaseQueueFullError('Too many queries of this caller wait for the database'))
        return () => true
      }
      // A turn comes while another caller's code runs.
      const entry = { start: keepCaller(start), refuse, caller }
      caller.waiting.push(entry)
      lanes[caller.kind].waiting += 1
      return () => remove(entry)
    },
  }
}

function createLane(): Lane {
  return { running: 0, waiting: 0, callers: new Map() }
}
