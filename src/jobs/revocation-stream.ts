// Keeps open the stream on which X reports revocations (x/activity.ts), in one instance at a time.
// Nothing depends on it: without it, a revocation is found when the tokens are used.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ActivityStreamState,
  acquireActivityLease,
  releaseActivityLease,
  storeActivityState,
} from '../accounts/activity-lease.ts'
import { markReportedRevocation } from '../accounts/reported-revocations.ts'
import { runInBackground } from '../db/caller.ts'
import { retryUntilWritten } from '../db/retry-write.ts'
import type { Deps } from '../deps.ts'
import type { Outbound } from '../outbound/provider-calls.ts'
import { createRareLine, type RareLine } from '../telemetry/rare-line.ts'
import { getAppToken, isLastingRefusal, parseRevocations, subscribeToRevocations } from '../x/activity.ts'

// docs.x.com, "Consuming streaming data": pauses before the next connection, doubled each time.
const PAUSES = {
  ended: { firstSeconds: 0.25, mostSeconds: 16 },
  failed: { firstSeconds: 5, mostSeconds: 320 },
  limited: { firstSeconds: 60, mostSeconds: 320 },
}
// A stream that ended sooner has not worked, though X responded 200: X is asked again after a
// pause.
const WORKED_SECONDS = 60
// X repeats an event within seconds.
const KEPT_EVENT_IDS = 1_000
// A lease is renewed so often before it ends: the stream outlives a short outage of the database.
const RENEWALS = 3

type Ending = keyof typeof PAUSES | 'refused'

/**
 * Starts to keep the stream, where the credentials of the app are configured.
 * @param outbound opens the stream.
 * @returns a function that stops it, and gives the lease to another instance.
 */
export function startRevocationStream(deps: Deps, outbound: Outbound): () => Promise<void> {
  if (deps.config.x.app === null) return async () => {}
  const stopped = new AbortController()
  const running = keepStream(deps, outbound, stopped.signal)
  return () => {
    stopped.abort()
    return running
  }
}

async function keepStream(deps: Deps, outbound: Outbound, stopped: AbortSignal): Promise<void> {
  const holderId = randomUUID()
  const { activityLeaseSeconds } = deps.timing
  // X decides how often it ends a stream, and what it sends.
  const lines: Lines = {
    open: createRareLine(deps.log, 'X reports revocations to this instance', { keys: 1, level: 'info' }),
    unrecorded: createRareLine(
      deps.log,
      'A revocation that X reported was not recorded; it is found when the tokens are used',
      { keys: 1 },
    ),
  }
  // Returns null when the database could not be asked.
  const acquire = (): Promise<boolean | null> =>
    runInBackground('revocations', () => acquireActivityLease(deps, holderId)).catch((error) => {
      deps.log.debug({ error }, 'The lease of the activity stream could not be renewed')
      return null
    })
  while (!stopped.aborted) {
    if ((await acquire()) === true) await followUnderLease(deps, outbound, { holderId, lines }, acquire, stopped)
    await pause(activityLeaseSeconds / RENEWALS, stopped)
  }
  await releaseActivityLease(deps, holderId).catch(() => {})
}

// Returns once the lease is lost, or the gateway stops.
async function followUnderLease(
  deps: Deps,
  outbound: Outbound,
  holder: Holder,
  acquire: () => Promise<boolean | null>,
  stopped: AbortSignal,
): Promise<void> {
  const lost = new AbortController()
  const signal = AbortSignal.any([stopped, lost.signal])
  const leaseMilliseconds = deps.timing.activityLeaseSeconds * 1000
  let renewedAt = performance.now()
  const renew = async () => {
    const askedAt = performance.now()
    const isOurs = await acquire()
    if (isOurs === true) renewedAt = askedAt
    else if (isOurs === false || askedAt - renewedAt >= leaseMilliseconds) lost.abort()
  }
  const renewals = setInterval(() => void renew(), leaseMilliseconds / RENEWALS)
  const seen = new Set<string>()
  let failures = 0
  try {
    while (!signal.aborted) {
      const startedAt = performance.now()
      const ending = await followOnce(deps, outbound, { ...holder, seen, signal })
      const hasWorked = ending === 'ended' && performance.now() - startedAt >= WORKED_SECONDS * 1000
      failures = hasWorked ? 0 : failures + 1
      await pause(secondsBefore(deps, ending, failures), signal)
    }
  } finally {
    clearInterval(renewals)
  }
}

function secondsBefore(deps: Deps, ending: Ending, failures: number): number {
  if (ending === 'refused') return deps.timing.activityRefusedSeconds
  const { firstSeconds, mostSeconds } = PAUSES[ending]
  // At once after a stream that worked.
  return failures === 0 ? 0 : Math.min(firstSeconds * 2 ** (failures - 1), mostSeconds)
}

type Lines = { open: RareLine; unrecorded: RareLine }
type Holder = { holderId: string; lines: Lines }
type Follower = Holder & { seen: Set<string>; signal: AbortSignal }

async function followOnce(
  deps: Deps,
  outbound: Outbound,
  { holderId, lines, seen, signal }: Follower,
): Promise<Ending> {
  const tell = (state: ActivityStreamState) =>
    runInBackground('revocations', () => storeActivityState(deps, holderId, state)).catch((error) =>
      deps.log.debug({ error }, 'The state of the activity stream could not be stored'),
    )
  const refuse = async (status: number) => {
    const sentence =
      status === 401
        ? 'X rejects X_APP_BEARER_TOKEN, or X_API_KEY and X_API_SECRET; revocations are found when tokens are used'
        : 'X does not report revocations to this app; they are found when tokens are used'
    deps.log.warn({ status }, sentence)
    await tell('REFUSED')
    return 'refused' as const
  }
  try {
    const token = await getAppToken(deps)
    const subscribed = token.kind === 'done' ? await subscribeToRevocations(deps, token.value) : token
    if (token.kind !== 'done' || subscribed.kind !== 'done') {
      const { status } = subscribed.kind === 'done' ? { status: null } : subscribed
      if (subscribed.kind === 'refused') return await refuse(subscribed.status)
      return status === 429 ? 'limited' : 'failed'
    }
    const stream = await outbound.openStream(`${deps.config.x.apiUrl}/2/activity/stream`, {
      headers: { authorization: `Bearer ${token.value}`, 'user-agent': 'xconnect-gateway' },
      headersSeconds: deps.timing.callDeadlineSeconds,
      idleSeconds: deps.timing.activityIdleSeconds,
      signal,
    })
    if (stream.status !== 200) {
      stream.close()
      if (isLastingRefusal(stream.status)) return await refuse(stream.status)
      return stream.status === 429 ? 'limited' : 'failed'
    }
    await tell('CONNECTED')
    lines.open('', {})
    try {
      for await (const line of stream.lines) await handleLine(deps, line, seen, lines)
    } finally {
      stream.close()
      if (!signal.aborted) await tell('CONNECTING')
    }
    return 'ended'
  } catch (error) {
    if (!signal.aborted) deps.log.debug({ error }, 'The activity stream of X ended')
    return 'ended'
  }
}

async function handleLine(deps: Deps, line: string, seen: Set<string>, lines: Lines): Promise<void> {
  const appId = deps.config.x.app?.id ?? null
  for (const event of parseRevocations(line)) {
    if (seen.has(event.eventId) || (appId !== null && event.appId !== appId)) continue
    seen.add(event.eventId)
    const [oldest] = seen
    if (seen.size > KEPT_EVENT_IDS && oldest !== undefined) seen.delete(oldest)
    try {
      await retryUntilWritten(deps, 'record a revocation', () => markReportedRevocation(deps, event))
    } catch (error) {
      lines.unrecorded('', { error })
    }
  }
}

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return sleep(seconds * 1000, undefined, { signal, ref: false }).catch(() => {})
}
