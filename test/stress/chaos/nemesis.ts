// Injects faults by plan: processes killed, stalled and restarted, the database restarted,
// responses dropped, errors of X.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault } from '../../../src/sandbox/control/faults.ts'
import type { Arena } from './arena.ts'
import type { Slot } from './fleet.ts'

export const faultKinds = ['kill', 'stop', 'term', 'db', 'drop', '503'] as const
export type FaultKind = (typeof faultKinds)[number]

/** How often each fault struck. */
export type Strikes = Record<FaultKind, number>

/** When each fault strikes: this many times, or until the time is over. */
export type Plan = { seconds: number; times?: number }

// The values of earlier measurements, for comparison.
const STALL_SECONDS = 3
const PAUSE_SECONDS: Record<'kill' | 'stop' | 'term' | 'db', number> = { kill: 0.5, stop: 0.5, term: 0.2, db: 4 }
// Half of a refresh's duration in production.
const DISTANCE_MILLISECONDS = 100
const DROP_PROBABILITY = 0.002
const UNWELL_PROBABILITY = 0.1

/** Injects the faults, and returns when every process is ready and X works again. */
export async function runNemesis(arena: Arena, kinds: readonly FaultKind[], plan: Plan): Promise<Strikes> {
  const strikes: Strikes = { kill: 0, stop: 0, term: 0, db: 0, drop: 0, '503': 0 }
  const endsAt = performance.now() + plan.seconds * 1000
  const strike = async (kind: 'kill' | 'stop' | 'term' | 'db', act: () => Promise<boolean>) => {
    while (performance.now() < endsAt && strikes[kind] < (plan.times ?? Infinity)) {
      await sleep(PAUSE_SECONDS[kind] * arena.random.between(500, 1_500))
      if (await act()) strikes[kind] += 1
    }
  }
  const onSomeSlot = (act: (slot: Slot) => Promise<void>) => async () => {
    const slot = chooseSlot(arena)
    if (slot === null) return false
    slot.busy = true
    try {
      await act(slot)
    } finally {
      slot.busy = false
    }
    return true
  }
  const { fleet, server, sandbox } = arena
  const acts = {
    kill: onSomeSlot(async (slot) => {
      await fleet.kill(slot)
      await fleet.start(slot)
    }),
    stop: onSomeSlot((slot) => fleet.stall(slot, STALL_SECONDS)),
    term: onSomeSlot(async (slot) => {
      await fleet.terminate(slot)
      await fleet.start(slot)
    }),
    db: async () => {
      await server.shutDown('immediate')
      await server.start()
      return true
    },
  }
  const planted = kinds.flatMap((kind) => (kind === 'drop' || kind === '503' ? plant(arena, kind) : []))
  const struck = kinds.filter((kind) => kind !== 'drop' && kind !== '503')
  if (struck.length === 0) await sleep(plan.seconds * 1000)
  else await Promise.all(struck.map((kind) => strike(kind, acts[kind])))
  for (const { id, hits } of sandbox.control.faults()) {
    const kind = planted.find((known) => known.id === id)?.kind
    if (kind !== undefined) strikes[kind] += hits
  }
  plantDistance(arena)
  return strikes
}

/** Removes all faults except X's latency, which gives killed processes open calls. */
export function plantDistance({ sandbox }: Arena): void {
  const { control } = sandbox
  control.clearFaults()
  for (const path of ['/2/oauth2/token', '/2/tweets']) {
    control.inject({
      match: { method: 'POST', path },
      kind: 'delay',
      milliseconds: DISTANCE_MILLISECONDS / 2,
      times: null,
    })
    control.inject({
      match: { method: 'POST', path },
      kind: 'delayAfter',
      milliseconds: DISTANCE_MILLISECONDS / 2,
      times: null,
    })
  }
}

// One process always keeps running, as under a supervisor that restarts them in turn.
function chooseSlot(arena: Arena): Slot | null {
  const idle = arena.fleet.slots.filter((slot) => !slot.busy)
  return idle.length > 1 || arena.fleet.slots.length === 1 ? arena.random.pick(idle) : null
}

function plant(arena: Arena, kind: 'drop' | '503'): { id: string; kind: 'drop' | '503' }[] {
  const refresh = { path: '/2/oauth2/token', parameters: { grant_type: 'refresh_token' } }
  const post = { method: 'POST', path: '/2/tweets' }
  // X's real reset is a quarter of an hour away, longer than a scenario.
  const soon = { 'x-rate-limit-reset': '', 'retry-after': '1' }
  const faults: Fault[] =
    kind === 'drop'
      ? [refresh, post].flatMap((match) => [
          { match, kind: 'dropBefore' as const, probability: DROP_PROBABILITY, times: null },
          { match, kind: 'dropAfter' as const, probability: DROP_PROBABILITY, times: null },
        ])
      : [
          {
            match: refresh,
            kind: 'problem',
            name: 'temporarily-unavailable',
            probability: UNWELL_PROBABILITY,
            times: null,
          },
          {
            match: refresh,
            kind: 'problem',
            name: 'oauth-rate-limited',
            headers: soon,
            probability: 0.02,
            times: null,
          },
          { match: post, kind: 'problem', name: 'service-unavailable', probability: 0.05, times: null },
          { match: post, kind: 'problem', name: 'too-many-requests', headers: soon, probability: 0.05, times: null },
        ]
  return faults.map((fault) => ({ id: arena.sandbox.control.inject(fault), kind }))
}
