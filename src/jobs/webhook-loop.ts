// The loop of one process that sends webhooks. Whose turn it is, is decided in the database
// (webhooks/turns.ts). Each lane has workers of its own; an attempt whose receiver is slow moves to the
// slow lane, also beyond the number of its workers, and frees a worker of the prompt one.
import type { Deps } from '../deps.ts'
import { withTimeout } from '../process/with-timeout.ts'
import type { Log } from '../telemetry/log.ts'
import { deliverWebhook } from '../webhooks/delivery.ts'
import { listTurns, type TakenTurn, takeTurn, type WebhookLane } from '../webhooks/turns.ts'
import { createAlarm } from './alarm.ts'
import { LOOK_SECONDS } from './job-loop.ts'

/** The loop of one process. */
export type WebhookLoop = {
  start(deps: Deps): void
  /** Takes note of a delivery that is due. Call it after the commit. */
  expect(): void
  /** Looks for due deliveries soon. */
  wake(): void
  /** Takes no more turns. Running attempts go on. */
  pause(): void
  /** Waits for the running attempts, for at most `seconds`. The others are repeated when their claim ends. */
  drain(seconds: number): Promise<void>
}

/**
 * The number of attempts that an instance makes at once in each lane. An attempt waits for a receiver
 * and needs little else.
 */
export const LANE_CAPACITY: Readonly<Record<WebhookLane, number>> = { PROMPT: 24, SLOW: 8 }
/** The number of those that may be of one user. */
export const USER_CAPACITY = 2

const RETRY_SECONDS = 1
// For the turn of a user that is due and was not taken: another transaction may have locked it.
const LOCKED_SECONDS = 0.1

type RunningAttempt = { userId: string; endpointId: string; ended: Promise<void> }

/**
 * Creates the loop.
 * @param onBusy is called when a delivery is due that this process cannot take.
 */
export function createWebhookLoop(log: Log, onBusy: () => void): WebhookLoop {
  const lanes: ReadonlyMap<WebhookLane, Set<RunningAttempt>> = new Map([
    ['PROMPT', new Set()],
    ['SLOW', new Set()],
  ])
  const alarm = createAlarm()
  /**
   * The users whose turns are not looked for now, because the last one could not be taken or has
   * failed.
   */
  const leftOut = new Set<string>()
  let isPaused = false
  let looping = Promise.resolve()

  const runningIn = (lane: WebhookLane) => lanes.get(lane) ?? new Set()
  const freeIn = (lane: WebhookLane) => LANE_CAPACITY[lane] - runningIn(lane).size

  async function loop(deps: Deps): Promise<void> {
    while (!isPaused) {
      try {
        if (alarm.takeDue()) await look(deps)
      } catch (error) {
        log.error({ error }, 'Webhook deliveries that are due could not be read')
        alarm.setIn(RETRY_SECONDS)
      }
      await alarm.wait()
    }
  }

  async function look(deps: Deps): Promise<void> {
    // Instances that look at different times find the deliveries of a killed one sooner.
    alarm.setIn(LOOK_SECONDS * (0.8 + Math.random() * 0.2))
    const wanted = [...lanes].flatMap(([lane, running]) =>
      freeIn(lane) > 0
        ? [[lane, { count: freeIn(lane), without: [...leftOut, ...usersAtCapacity(running)] }] as const]
        : [],
    )
    for (const { lane, userId, seconds } of await listTurns(deps, new Map(wanted))) {
      if (seconds > 0) alarm.setIn(seconds)
      else if (!isPaused) await take(deps, lane, userId)
    }
  }

  // An error of one user does not hold up the others.
  async function take(deps: Deps, lane: WebhookLane, userId: string): Promise<void> {
    try {
      const turn = await takeTurn(deps, userId, lane)
      if (turn === null) leaveOut(userId, LOCKED_SECONDS)
      else start(deps, lane, userId, turn)
    } catch (error) {
      log.error({ error, userId }, 'A webhook delivery that is due could not be taken')
      leaveOut(userId, RETRY_SECONDS)
    }
    alarm.setIn(0)
  }

  // What is due and cannot be done would otherwise be tried again at once, before the turns of others.
  function leaveOut(userId: string, seconds: number): void {
    leftOut.add(userId)
    const lookAgain = () => {
      leftOut.delete(userId)
      alarm.setIn(0)
    }
    setTimeout(lookAgain, seconds * 1000).unref()
  }

  function start(deps: Deps, lane: WebhookLane, userId: string, turn: TakenTurn): void {
    const endpointId = turn.endpoint.id
    const attempt: RunningAttempt = { userId, endpointId, ended: Promise.resolve() }
    // Its turn may have been taken just before another attempt at the endpoint was found to be slow.
    const isSlow = [...runningIn('SLOW')].some((running) => running.endpointId === endpointId)
    runningIn(isSlow ? 'SLOW' : lane).add(attempt)
    // With the others of the endpoint, which has the slow lane from now on.
    const moveToSlowLane = () => {
      const moved = [...runningIn('PROMPT')].filter((running) => running.endpointId === endpointId)
      for (const running of moved) if (runningIn('PROMPT').delete(running)) runningIn('SLOW').add(running)
      alarm.setIn(0)
    }
    attempt.ended = deliverWebhook(deps, turn, moveToSlowLane)
      .catch((error) => {
        log.warn({ error }, 'A webhook delivery was interrupted and will be repeated')
        leaveOut(userId, RETRY_SECONDS)
      })
      .finally(() => {
        for (const running of lanes.values()) running.delete(attempt)
        alarm.setIn(0)
      })
  }

  return {
    start: (deps) => {
      looping = loop(deps)
    },
    expect: () => {
      if (isPaused || freeIn('PROMPT') <= 0) onBusy()
      alarm.setIn(0)
    },
    wake: () => alarm.setIn(0),
    pause: () => {
      isPaused = true
      alarm.ring()
    },
    drain: async (seconds) => {
      await looping
      const running = [...lanes.values()].flatMap((attempts) => [...attempts])
      await withTimeout(seconds, Promise.all(running.map(({ ended }) => ended)), () => {})
    },
  }
}

function usersAtCapacity(running: ReadonlySet<RunningAttempt>): string[] {
  const byUser = Map.groupBy(running, ({ userId }) => userId)
  return [...byUser].flatMap(([userId, { length }]) => (length >= USER_CAPACITY ? [userId] : []))
}
