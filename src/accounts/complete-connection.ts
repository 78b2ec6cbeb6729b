// What becomes of an approval once X has issued a pair for it: whose account it is, and whether it
// is connected, refused, or asked about again later. The same code runs while the person waits, and
// afterwards by a job.
import { setTimeout as sleep } from 'node:timers/promises'
import { eq, sql } from 'drizzle-orm'
import { forgetProviderProblems } from '../auth/provider-problems.ts'
import { noteFailedRoundTrip } from '../auth/round-trip-log.ts'
import { sqlIn } from '../db/clock.ts'
import { retryUntilWritten } from '../db/retry-write.ts'
import { isRowId } from '../db/row-id.ts'
import { connectAttempts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { type ErrorCode, isErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { fetchMe, type XProfile, type XResult } from '../x/api.ts'
import { findBlock, recordBlocks } from '../x/blocks.ts'
import { canReadProfile } from '../x/scopes.ts'
import { findConnectedAccount, listConnectedAccounts } from './accounts.ts'
import {
  type AttemptWithTokens,
  claimAttempt,
  needsRefresh,
  refreshAttemptTokens,
  type TakenAttempt,
  updateAttempt,
} from './attempt-tokens.ts'
import { type Refused, refuseConnection } from './refuse-connection.ts'
import { storeConnection } from './store-connection.ts'

/**
 * How a connection ended, or what it waits for; `isRepeated` where another process has brought it
 * so far, and has logged that.
 */
export type ConnectOutcome = (
  | { status: 'connected' }
  | { status: 'failed'; error: AppError }
  /** X cannot say yet whose account it is. A job asks again. */
  | { status: 'waiting'; error: AppError }
) & { isRepeated?: boolean }

const FIRST_PAUSE_MILLISECONDS = 400
// As long as it may take until an operator has bought credits. A refresh token lives for half a
// year.
const KEPT_SECONDS = 7 * 86_400
const MIN_WAIT_SECONDS = 5
const MAX_WAIT_SECONDS = 300
const BLOCKED_WAIT_SECONDS = 60

// What users/me refuses for good. Everything else passes: an outage, a limit, credits, an app that
// has to be enrolled.
const FINAL: readonly ErrorCode[] = ['SCOPES_MISSING', 'ACCOUNT_SUSPENDED']
// Other refusals are named after what they mean for a tweet.
const PASSING: readonly ErrorCode[] = [
  'X_RATE_LIMITED',
  'X_CREDITS_EXHAUSTED',
  'X_USAGE_CAPPED',
  'X_APP_NOT_ENROLLED',
  'X_CREDENTIALS_REJECTED',
]

/** Goes on with an attempt that waits for X, if it is due. */
export async function resumeConnection(deps: Deps, attemptId: string): Promise<void> {
  if (!isRowId(attemptId)) return
  const kept = await claimAttempt(deps, attemptId)
  if (kept === null) return
  const outcome = await completeConnection(deps, kept, false)
  // While a person waits, the route of the callback says what became of it.
  if (outcome.isRepeated) return
  if (outcome.status !== 'connected')
    return noteFailedRoundTrip(deps, 'X_CONNECT', kept.attempt, outcome.error, outcome.status)
  await forgetProviderProblems(deps, 'X')
  deps.log.info({ attemptId }, 'A connection that waited for X is made')
}

/**
 * Finds out whose account a kept pair is, and connects it or refuses it.
 * @param personWaits true to repeat the call for some seconds where X fails in passing.
 */
export async function completeConnection(
  deps: Deps,
  kept: AttemptWithTokens,
  personWaits: boolean,
): Promise<ConnectOutcome> {
  if (!canReadProfile(kept.tokens.scopes)) return refuse(deps, kept, { error: new AppError('SCOPES_MISSING') })
  const owner = await findOwner(deps, kept, personWaits)
  switch (owner.kind) {
    case 'lost':
      return readOutcome(deps, kept.attempt.id)
    case 'dead':
      return refuse(deps, kept, { error: new AppError('X_UNAVAILABLE'), isDead: true })
    case 'refused':
      return refuse(deps, owner.kept, { error: owner.error })
    case 'waiting':
      return wait(deps, owner.kept, owner.error)
    case 'found':
      return decide(deps, owner.kept, owner.profile)
  }
}

type Owner =
  | { kind: 'found'; kept: AttemptWithTokens; profile: XProfile }
  | { kind: 'refused' | 'waiting'; kept: AttemptWithTokens; error: AppError }
  | { kind: 'dead' }
  | { kind: 'lost' }

async function findOwner(deps: Deps, first: AttemptWithTokens, personWaits: boolean): Promise<Owner> {
  const startedAt = performance.now()
  let kept = first
  let isRefreshed = false
  let isRejected = false
  for (let pause = FIRST_PAUSE_MILLISECONDS; ; pause *= 2) {
    if (needsRefresh(kept, deps) || (isRejected && !isRefreshed && kept.tokens.refreshToken !== null)) {
      const refreshed = await refreshAttemptTokens(deps, kept)
      if (refreshed.kind === 'dead' || refreshed.kind === 'lost') return refreshed
      if (refreshed.kind === 'later') return { kind: 'waiting', kept, error: refreshed.error }
      kept = refreshed.kept
      isRefreshed = true
    }
    const { accessToken } = kept.tokens
    if (accessToken === null) return { kind: 'waiting', kept, error: new AppError('X_UNAVAILABLE') }
    const answer = await askOwner(deps, kept, accessToken)
    if (answer.kind === 'done') return { kind: 'found', kept, profile: answer.value }
    const isFirstRejection = answer.kind === 'unauthorized' && !isRejected
    isRejected ||= answer.kind === 'unauthorized'
    // An access token that is refused may be one that a later approval has replaced: the refresh
    // token tells.
    if (isFirstRejection && kept.tokens.refreshToken !== null) continue
    if (answer.kind === 'refused' && FINAL.includes(answer.code))
      return { kind: 'refused', kept, error: new AppError(answer.code) }
    const error = passingError(answer)
    const waited = (performance.now() - startedAt + pause) / 1000
    const isWorthWaiting = personWaits && error.code === 'X_UNAVAILABLE' && error.retryAt === null
    if (!isWorthWaiting || waited > deps.timing.interactiveRetrySeconds) return { kind: 'waiting', kept, error }
    await sleep(pause)
  }
}

async function askOwner(deps: Deps, { attempt }: AttemptWithTokens, accessToken: string): Promise<XResult<XProfile>> {
  const block = await findBlock(deps, attempt.id, 'READ_PROFILE')
  if (block !== null) return block
  const answer = await fetchMe(deps, accessToken)
  // A limit of one account is kept with its attempt; what concerns the whole app, or proves that
  // nothing stands in the way, is for all.
  if (answer.kind === 'refused' && answer.to === 'ACCOUNT') return answer
  try {
    await recordBlocks(deps, attempt.id, 'READ_PROFILE', answer)
  } catch (error) {
    deps.log.warn({ error, attempt: attempt.id }, 'Could not remember what X said of its limits')
  }
  return answer
}

function passingError(answer: Exclude<XResult<XProfile>, { kind: 'done' }>): AppError {
  if (answer.kind !== 'refused')
    return new AppError('X_UNAVAILABLE', { cause: answer.kind === 'unknown' ? answer.cause : undefined })
  const code = PASSING.includes(answer.code) ? answer.code : 'X_UNAVAILABLE'
  return new AppError(code, { retryAt: answer.retryAt })
}

async function decide(deps: Deps, kept: AttemptWithTokens, profile: XProfile): Promise<ConnectOutcome> {
  const { attempt } = kept
  const mismatch = await findMismatch(deps, attempt, profile)
  // X has ended the earlier pair of this account by now. Where it is connected to this user, the
  // fresh pair keeps that connection alive.
  if (mismatch !== null && !(await isOwnAccount(deps, attempt.userId, profile)))
    return refuse(deps, kept, { error: mismatch, profile })
  try {
    const stored = await storeConnection(deps, kept, profile, mismatch)
    switch (stored) {
      case 'stored':
        return mismatch === null ? { status: 'connected' } : { status: 'failed', error: mismatch }
      case 'lost':
        return readOutcome(deps, attempt.id)
      case 'dead':
        return refuse(deps, kept, { error: replacedError(profile), profile, isDead: true })
      case 'undecided':
        return wait(deps, kept, new AppError('X_UNAVAILABLE'))
    }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return refuse(deps, kept, { error, profile })
  }
}

async function refuse(deps: Deps, kept: AttemptWithTokens, refused: Refused): Promise<ConnectOutcome> {
  const result = await refuseConnection(deps, kept, refused)
  if (result.kind === 'refused') return { status: 'failed', error: result.error }
  if (result.kind === 'lost') return readOutcome(deps, kept.attempt.id)
  return wait(deps, kept, new AppError('X_UNAVAILABLE'))
}

async function wait(deps: Deps, kept: AttemptWithTokens, error: AppError): Promise<ConnectOutcome> {
  const { attempt } = kept
  const age = (deps.clock.now().getTime() - attempt.takenAt.getTime()) / 1000
  if (age > KEPT_SECONDS) return refuse(deps, kept, { error })
  const seconds = secondsToWait(deps, attempt, error)
  const retryAt = new Date(deps.clock.now().getTime() + seconds * 1000)
  const values = {
    status: 'WAITING',
    errorCode: error.code,
    errorDetail: null,
    retryAt,
    nextTryAt: sqlIn(deps.clock, seconds),
    tries: sql`${connectAttempts.tries} + 1`,
  } as const
  const written = await retryUntilWritten(deps, 'keep a connection that waits for X', () =>
    updateAttempt(deps, kept, values),
  )
  if (!written) return readOutcome(deps, attempt.id)
  return { status: 'waiting', error: new AppError(error.code, { retryAt, cause: error }) }
}

function secondsToWait(deps: Deps, attempt: TakenAttempt, { code, retryAt }: AppError): number {
  // An operator may raise the cap before it ends.
  if (code === 'X_USAGE_CAPPED') return MAX_WAIT_SECONDS
  if (retryAt !== null) return Math.max((retryAt.getTime() - deps.clock.now().getTime()) / 1000, 1)
  if (code !== 'X_UNAVAILABLE') return code === 'X_RATE_LIMITED' ? BLOCKED_WAIT_SECONDS : MAX_WAIT_SECONDS
  const most = Math.min(MIN_WAIT_SECONDS * 2 ** Math.min(attempt.tries, 10), MAX_WAIT_SECONDS)
  return most / 2 + (Math.random() * most) / 2
}

// Another process has finished the attempt, or its user is gone with it.
async function readOutcome(deps: Deps, attemptId: string): Promise<ConnectOutcome> {
  const [now] = await deps.db.select().from(connectAttempts).where(eq(connectAttempts.id, attemptId))
  if (now === undefined) return { status: 'failed', error: new AppError('SESSION_MISSING'), isRepeated: true }
  if (now.status === 'SUCCEEDED') return { status: 'connected', isRepeated: true }
  const error = recordedError(now) ?? new AppError('X_UNAVAILABLE')
  return { status: now.status === 'FAILED' ? 'failed' : 'waiting', error, isRepeated: true }
}

/** Why an attempt has failed, or what it waits for; null where nothing went wrong. */
export function recordedError({
  errorCode,
  errorDetail,
  retryAt,
}: Pick<typeof connectAttempts.$inferSelect, 'errorCode' | 'errorDetail' | 'retryAt'>): AppError | null {
  if (errorCode === null) return null
  return new AppError(isErrorCode(errorCode) ? errorCode : 'INTERNAL', {
    ...(errorDetail !== null && { detail: errorDetail }),
    retryAt,
  })
}

async function findMismatch(deps: Deps, attempt: TakenAttempt, profile: XProfile): Promise<AppError | null> {
  const { userId, reconnectAccountId, expectedUsername: wanted } = attempt
  if (reconnectAccountId !== null) {
    const account = await findConnectedAccount(deps, userId, reconnectAccountId)
    return account?.providerAccountId === profile.providerAccountId
      ? null
      : wrongAccount(profile, account?.username ?? null)
  }
  if (wanted === null) return null
  // A name changes hands at X, an id never does. Where the user has connected an account of this
  // name, that account is meant.
  const accounts = await listConnectedAccounts(deps, userId, { includeDisconnected: true })
  const named = accounts.filter(({ username }) => username.toLowerCase() === wanted.toLowerCase())
  const isNamed = named.some(({ providerAccountId }) => providerAccountId === profile.providerAccountId)
  if (isNamed) return null
  const isTaken = named.some(({ status }) => status !== 'DISCONNECTED')
  return isTaken || wanted.toLowerCase() !== profile.username.toLowerCase()
    ? wrongAccount(profile, wanted, isTaken)
    : null
}

function wrongAccount({ username }: XProfile, wanted: string | null, isRenamed = false): AppError {
  const asked = wanted === null ? 'the account that was asked for' : `@${wanted}`
  const isSameName = wanted?.toLowerCase() === username.toLowerCase()
  const detail =
    isRenamed && isSameName
      ? `@${username} at X is another account now than the ${asked} that you have connected, which was renamed there. Connect that one by reconnectAccountId, or this one without expectedUsername.`
      : `X is signed in as @${username}, not as ${asked}. Switch accounts at x.com, then start again.`
  return new AppError('WRONG_ACCOUNT', { detail })
}

function replacedError({ username }: XProfile): AppError {
  return new AppError('X_UNAVAILABLE', {
    detail: `@${username} was approved at X a second time meanwhile, which ended this approval. Start again.`,
  })
}

async function isOwnAccount(deps: Deps, userId: string, profile: XProfile): Promise<boolean> {
  const accounts = await listConnectedAccounts(deps, userId, { includeDisconnected: false })
  return accounts.some((account) => account.providerAccountId === profile.providerAccountId)
}
