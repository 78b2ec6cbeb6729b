// API tokens, with which programs authenticate. A token that was looked up is kept in memory for
// some seconds, only while notifications tell of its end: a revoked token stops working at once on
// every instance.
import { and, count, desc, eq, getTableColumns, gt, inArray, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import { defaultUserLimits } from '../config/user-limits.ts'
import { sha256 } from '../crypto.ts'
import { isActive, isActiveUser } from '../db/active-user.ts'
import { deleteOfUsers } from '../db/batch-deletion.ts'
import { sqlIn } from '../db/clock.ts'
import { isRowId } from '../db/row-id.ts'
import { type allScopes, apiScopes, apiTokens, OPERATOR_ID, operatorScopes, users } from '../db/tables.ts'
import { lockUserAlone } from '../db/user-lock.ts'
import type { ChargeLookUp } from '../db/viewer-cache.ts'
import { announceViewerChange, type CachedApiToken } from '../db/viewers.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import { isPrintable } from '../printable.ts'
import { createSecret, isSecret, parseTokenOwner, showSecret } from './api-token-format.ts'
import { findEarlierSecretOwner } from './user-secret.ts'

/** A permission of a token. */
export type ApiScope = (typeof allScopes)[number]
/** A permission of a user's token. */
export type UserScope = (typeof apiScopes)[number]
/** A permission of an operator's token. */
export type OperatorScope = (typeof operatorScopes)[number]

/** A token without the hash of its secret. */
export type ApiToken = Omit<typeof apiTokens.$inferSelect, 'secretHash'>

/** The owner of a token: a user, or the operator (OPERATOR_ID). */
export type ApiTokenOwner = { userId: string }

/** The input of `createApiToken`. With `expiresInDays` null, the default lifetime applies. */
export type CreateApiTokenInput = { name: string; scopes: readonly string[]; expiresInDays: number | null }

// The command line has no other dependencies.
type TokenDeps = Pick<Deps, 'db' | 'clock'> & Partial<Pick<Deps, 'afterCommit' | 'viewers' | 'config'>>

/** The default lifetime of a token. */
export const DEFAULT_EXPIRY_DAYS = 90
/** The longest lifetime of a token: a year, with a day for its replacement. */
export const MAX_EXPIRY_DAYS = 366
/**
 * The number of ended tokens of a user that are kept, so that creating and revoking adds no rows.
 */
export const MAX_ENDED_TOKENS = 50
const MAX_NAME_LENGTH = 100
const DAY_SECONDS = 86_400
const USE_WRITTEN_EVERY_SECONDS = 60
const KEPT_AFTER_END_SECONDS = 30 * DAY_SECONDS

const { secretHash: _hidden, ...shown } = getTableColumns(apiTokens)

/**
 * Creates a token, and returns its secret, which cannot be read again.
 * @throws AppError API_TOKEN_NAME_INVALID, API_TOKEN_SCOPES_INVALID, API_TOKEN_EXPIRY_INVALID,
 * TOO_MANY_API_TOKENS
 */
export async function createApiToken(
  deps: TokenDeps,
  { userId }: ApiTokenOwner,
  input: CreateApiTokenInput,
): Promise<{ secret: string; apiToken: ApiToken }> {
  const name = parseName(input.name)
  const scopes = parseScopes(input.scopes, userId === OPERATOR_ID ? operatorScopes : apiScopes)
  const expiresInDays = parseExpiry(input.expiresInDays)
  const secret = createSecret(userId)
  return transaction(deps, async (deps) => {
    if (userId !== OPERATOR_ID) {
      await assertBelowLimit(deps, userId)
      await deleteSurplusTokens(deps, userId)
    }
    const [apiToken] = await deps.db
      .insert(apiTokens)
      .values({
        secretHash: sha256(secret),
        ...showSecret(secret),
        name,
        userId,
        scopes,
        createdAt: deps.clock.sqlNow(),
        expiresAt: sqlIn(deps.clock, expiresInDays * DAY_SECONDS),
      })
      .returning(shown)
    if (apiToken === undefined) throw new Error('Bug: an insert returned no row')
    await recordEvent(deps, { type: 'token.created', userId, apiTokenId: apiToken.id })
    deps.viewers?.apiTokens.addExisting(sha256(secret))
    return { secret, apiToken }
  })
}

/**
 * Returns the active token with this secret, and the user it acts for; null when there is none. A
 * text that has not the format of a secret is rejected without a query. Sets `lastUsedAt` when it
 * looks the token up.
 * @param charge charges for the look-up of a secret that may be made up.
 */
export async function findApiTokenBySecret(
  deps: TokenDeps & Pick<Deps, 'viewers'>,
  secret: string,
  charge: ChargeLookUp,
): Promise<CachedApiToken | null> {
  if (!isSecret(secret)) return null
  const secretHash = sha256(secret)
  return deps.viewers.apiTokens.find(secretHash, () => lookUpApiToken(deps, secret, secretHash), charge)
}

/** Returns the API token with this secret if this process keeps it in memory; null otherwise. */
export function findKeptApiToken({ viewers }: Pick<Deps, 'viewers'>, secret: string): CachedApiToken | null {
  return isSecret(secret) ? viewers.apiTokens.findKept(sha256(secret)) : null
}

async function lookUpApiToken(deps: TokenDeps, secret: string, secretHash: string): Promise<CachedApiToken | null> {
  const userId = await findOwner(deps, secret)
  if (userId === null) return null
  const isUseDue = or(
    isNull(apiTokens.lastUsedAt),
    lt(apiTokens.lastUsedAt, sqlIn(deps.clock, -USE_WRITTEN_EVERY_SECONDS)),
  )
  const [found] = await deps.db
    .select({
      apiToken: shown,
      user: users,
      isUseDue: sql<boolean>`${isUseDue}`,
      endsInSeconds: sql<number>`extract(epoch from ${apiTokens.expiresAt} - ${deps.clock.sqlNow()})::float8`,
    })
    .from(apiTokens)
    .innerJoin(users, and(eq(users.id, apiTokens.userId), isActive()))
    .where(and(eq(apiTokens.userId, userId), eq(apiTokens.secretHash, secretHash), isLive(deps)))
  if (found === undefined) return null
  const { apiToken, user, endsInSeconds } = found
  if (found.isUseDue) {
    // The condition is checked again: of many concurrent requests, one writes.
    await deps.db
      .update(apiTokens)
      .set({ lastUsedAt: deps.clock.sqlNow() })
      .where(and(isOwnedBy(apiToken), eq(apiTokens.id, apiToken.id), isUseDue))
  }
  return { apiToken, user, endsAt: new Date(deps.clock.now().getTime() + endsInSeconds * 1000) }
}

/** Returns true while a token is neither expired nor revoked. Does not set `lastUsedAt`. */
export async function isApiTokenGood(deps: TokenDeps, token: Pick<ApiToken, 'id' | 'userId'>): Promise<boolean> {
  const [good] = await deps.db
    .select({ id: apiTokens.id })
    .from(apiTokens)
    .where(and(isOwnedBy(token), eq(apiTokens.id, token.id), isLive(deps), isActiveUser(apiTokens.userId)))
  return good !== undefined
}

/** Returns the owner's API tokens with these ids, which must be row ids. */
export function listApiTokensByIds(deps: TokenDeps, owner: ApiTokenOwner, ids: readonly string[]): Promise<ApiToken[]> {
  return deps.db
    .select(shown)
    .from(apiTokens)
    .where(and(isOwnedBy(owner), inArray(apiTokens.id, [...ids])))
}

/** Returns the owner's tokens, newest first, with the active ones before the ended ones. */
export function listApiTokens(deps: TokenDeps, owner: ApiTokenOwner): Promise<ApiToken[]> {
  return deps.db
    .select(shown)
    .from(apiTokens)
    .where(isOwnedBy(owner))
    .orderBy(desc(sql`${isLive(deps)}`), desc(apiTokens.createdAt), desc(apiTokens.id))
    .limit(maxActiveTokens(deps) + MAX_ENDED_TOKENS)
}

/** Returns the status of a token. */
export function apiTokenStatus({ clock }: Pick<Deps, 'clock'>, token: ApiToken): 'ACTIVE' | 'EXPIRED' | 'REVOKED' {
  if (token.revokedAt !== null) return 'REVOKED'
  return token.expiresAt <= clock.now() ? 'EXPIRED' : 'ACTIVE'
}

/**
 * Revokes a token of the owner. Does nothing for a token that has ended.
 * @throws AppError API_TOKEN_NOT_FOUND
 */
export async function revokeApiToken(deps: TokenDeps, owner: ApiTokenOwner, tokenId: string): Promise<ApiToken> {
  const isIt = and(isOwnedBy(owner), eq(apiTokens.id, tokenId))
  const [apiToken] = isRowId(tokenId)
    ? [(await revokeWhere(deps, isIt, null)) ?? (await deps.db.select(shown).from(apiTokens).where(isIt))[0]]
    : []
  if (apiToken === undefined) throw new AppError('API_TOKEN_NOT_FOUND', { field: ['input', 'apiTokenId'] })
  return apiToken
}

/**
 * Revokes the token with this secret, no matter who presents it: a secret in a stranger's hands is
 * compromised (RFC 7009). Does nothing for any other text.
 */
export async function revokeLeakedApiToken(deps: TokenDeps, secret: string): Promise<void> {
  const userId = await findOwner(deps, secret)
  if (userId !== null)
    await revokeWhere(deps, and(isOwnedBy({ userId }), eq(apiTokens.secretHash, sha256(secret))), 'LEAKED')
}

/** Deletes the tokens that ended more than 30 days ago, until the signal. */
export async function sweepApiTokens(deps: TokenDeps, signal?: AbortSignal): Promise<number> {
  const endedAt = sql`coalesce(${apiTokens.revokedAt}, ${apiTokens.expiresAt})`
  return deleteOfUsers(deps, apiTokens, apiTokens, lt(endedAt, sqlIn(deps.clock, -KEPT_AFTER_END_SECONDS)), signal)
}

function revokeWhere(deps: TokenDeps, isIt: SQL | undefined, reason: 'LEAKED' | null): Promise<ApiToken | null> {
  return transaction(deps, async (deps) => {
    const [apiToken] = await deps.db
      .update(apiTokens)
      .set({ revokedAt: deps.clock.sqlNow() })
      .where(and(isIt, isNull(apiTokens.revokedAt)))
      .returning(shown)
    if (apiToken === undefined) return null
    const { userId } = apiToken
    await recordEvent(deps, { type: 'token.revoked', userId, apiTokenId: apiToken.id, reason })
    await announceViewerChange(deps, apiToken.userId)
    return apiToken
  })
}

// Null without a query for a text that has not the format of a secret.
async function findOwner(deps: TokenDeps, secret: string): Promise<string | null> {
  return isSecret(secret) ? (parseTokenOwner(secret) ?? findEarlierSecretOwner(deps, secret)) : null
}

async function assertBelowLimit(deps: TokenDeps, userId: string): Promise<void> {
  await lockUserAlone(deps.db, userId)
  const [live] = await deps.db
    .select({ count: count() })
    .from(apiTokens)
    .where(and(isOwnedBy({ userId }), isLive(deps)))
  const max = maxActiveTokens(deps)
  if ((live?.count ?? 0) < max) return
  throw new AppError('TOO_MANY_API_TOKENS', {
    detail: `You have ${max} active API tokens, which is the limit. Revoke one that is no longer used with revokeApiToken.`,
  })
}

function maxActiveTokens({ config }: TokenDeps): number {
  return (config?.userLimits ?? defaultUserLimits).apiTokens
}

// The last to end are kept.
async function deleteSurplusTokens(deps: TokenDeps, userId: string): Promise<void> {
  const surplus = deps.db
    .select({ id: apiTokens.id })
    .from(apiTokens)
    .where(and(isOwnedBy({ userId }), sql`not (${isLive(deps)})`))
    .orderBy(desc(sql`coalesce(${apiTokens.revokedAt}, ${apiTokens.expiresAt})`))
    .offset(MAX_ENDED_TOKENS)
  await deps.db.delete(apiTokens).where(and(isOwnedBy({ userId }), inArray(apiTokens.id, surplus)))
}

/** The condition for tokens that are active. */
export function isLive({ clock }: TokenDeps): SQL | undefined {
  return and(isNull(apiTokens.revokedAt), gt(apiTokens.expiresAt, clock.sqlNow()))
}

function isOwnedBy({ userId }: ApiTokenOwner): SQL {
  return eq(apiTokens.userId, userId)
}

function parseName(text: string): string {
  const name = text.trim()
  if (!isPrintable(name, MAX_NAME_LENGTH)) throw new AppError('API_TOKEN_NAME_INVALID', { field: ['input', 'name'] })
  return name
}

function parseScopes(given: readonly string[], allowed: readonly ApiScope[]): ApiScope[] {
  const scopes = allowed.filter((scope) => given.includes(scope))
  const unknown = given.filter((scope) => !allowed.some((known) => known === scope))
  if (scopes.length === 0 || unknown.length > 0) {
    throw new AppError('API_TOKEN_SCOPES_INVALID', {
      field: ['input', 'scopes'],
      detail: `Give at least one of the scopes ${allowed.join(', ')}, and no other.`,
    })
  }
  return scopes
}

function parseExpiry(days: number | null): number {
  if (days === null) return DEFAULT_EXPIRY_DAYS
  if (!Number.isInteger(days) || days < 1 || days > MAX_EXPIRY_DAYS)
    throw new AppError('API_TOKEN_EXPIRY_INVALID', { field: ['input', 'expiresInDays'] })
  return days
}
