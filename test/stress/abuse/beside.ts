// Compares what neighbours get beside an abuse with what they got before it.
import { setTimeout as sleep } from 'node:timers/promises'
import { atMost, exactly, type Figure } from '../chaos/figures.ts'
import { inTurns, type Neighbour, type Service } from './neighbour.ts'
import type { Victim } from './victim.ts'

/** The service of the neighbours before an abuse and meanwhile, and the result of the abuse. */
export type Besides = { quiet: Service; service: Service; memoryMb: number; figures: Figure[] }

const QUIET_MILLISECONDS = 3_000
const MAX_MEDIAN_RATIO = 3
const MAX_P99_RATIO = 10
/** Measures the neighbours for some seconds, and then beside `work`. */
export async function measureBeside(
  victim: Victim,
  work: () => Promise<Figure[]>,
  neighbour: Neighbour = victim.neighbour,
): Promise<Besides> {
  const quiet = await victim.watch(() => sleep(QUIET_MILLISECONDS), neighbour)
  let figures: Figure[] = []
  const service = await victim.watch(async () => {
    figures = await work()
  }, neighbour)
  const compared = [
    exactly('requests of others that failed meanwhile', 0, quiet.failed + service.failed),
    ...figures,
    atMost(
      'median of others to the quiet one',
      MAX_MEDIAN_RATIO,
      service.medianMilliseconds / quiet.medianMilliseconds,
    ),
    atMost('p99 of others to the quiet one', MAX_P99_RATIO, service.p99Milliseconds / quiet.p99Milliseconds),
  ]
  return { quiet, service, memoryMb: victim.memoryMb(), figures: compared }
}

/**
 * Sends a flood, and returns the processor time of the gateway for one of its requests in
 * milliseconds, with what the gateway did for others meanwhile.
 */
export async function timeFlood(
  victim: Victim,
  count: number,
  send: (index: number) => Promise<number>,
): Promise<{ statuses: number[]; milliseconds: number }> {
  const before = victim.processorMilliseconds()
  const statuses = await inTurns(count, send)
  return { statuses, milliseconds: (victim.processorMilliseconds() - before) / count }
}
