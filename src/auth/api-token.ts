// API tokens: how a program asks without a browser. A token is looked up anew at each request and kept in no memory, so that one that
// is revoked ends at once, at every instance.
import { and, count, desc, eq, getTableColumns, gt, inArray, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import { sha256 } from '../crypto.ts'
import { sqlIn } from '../db/clock.ts'
import { isRowId } from '../db/row-id.ts'
import { apiScopes, apiTokens, operatorScopes, users } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import { createSecret, isSecret, showSecret } from './api-token-format.ts'

/** What a token may do. */
export type ApiScope = (typeof apiScopes)[number]

/** A token as it may be shown: everything but the hash of its secret. */
export type ApiToken = Omit<typeof apiTokens.$inferSelect, 'secretHash'>

/** Whose token: a user's, or with null the operator's. */
export type ApiTokenOwner = { userId: string | null }

/** What whoever makes a token chooses. Null leaves the choice to us. */
export type CreateApiTokenInput = { name: string; scopes: readonly string[]; expiresInDays: number | null }

/** These functions also serve the command line, which has no more than that. */
type TokenDeps = Pick<Deps, 'db' | 'clock'>

/** So long a token is good unless whoever makes it says otherwise. */
export const DEFAULT_EXPIRY_DAYS = 90
/** A year, and a day to see to it: whoever forgets a token for longer than that is better off without it. */
export const MAX_EXPIRY_DAYS = 366
/** How many of a user's tokens may be good at once: more than programs have names for, and a bound for a stolen session. */
export const MAX_LIVE_TOKENS = 50
const MAX_LISTED = 100
const MAX_NAME_LENGTH = 100
// Names are printed in terminals, one a line: no control characters, no line breaks, no halves of characters, nothing that turns the
// direction of a line.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u
const DAY_SECONDS = 86_400
const USE_WRITTEN_EVERY_SECONDS = 60
const KEPT_AFTER_END_SECONDS = 30 * DAY_SECONDS

const { secretHash: _hidden, ...shown } = getTableColumns(apiTokens)

/**
 * Makes a token, and returns its secret: nobody can ask for that again.
 * @throws AppError API_TOKEN_NAME_INVALID, API_TOKEN_SCOPES_INVALID, API_TOKEN_EXPIRY_INVALID, TOO_MANY_API_TOKENS
 */
export async function createApiToken(
  deps: TokenDeps,
  { userId }: ApiTokenOwner,
  input: CreateApiTokenInput,
): Promise<{ secret: string; apiToken: ApiToken }> {
  const name = readName(input.name)
  const scopes = parseScopes(input.scopes, userId === null ? operatorScopes : apiScopes)
  const expiresInDays = readExpiry(input.expiresInDays)
  const secret = createSecret()
  return transaction(deps, async (deps) => {
    if (userId !== null) await refuseTooMany(deps, userId)
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
    return { secret, apiToken }
  })
}

/**
 * The token with this secret and the user it acts for, or null when there is none, or it has ended. What is no secret by its form is
 * answered without the database. Notes that the token was used.
 */
export async function findApiTokenBySecret(
  deps: TokenDeps,
  secret: string,
): Promise<{ apiToken: ApiToken; user: typeof users.$inferSelect | null } | null> {
  if (!isSecret(secret)) return null
  const isUseDue = or(
    isNull(apiTokens.lastUsedAt),
    lt(apiTokens.lastUsedAt, sqlIn(deps.clock, -USE_WRITTEN_EVERY_SECONDS)),
  )
  const [found] = await deps.db
    .select({ apiToken: shown, user: users, isUseDue: sql<boolean>`${isUseDue}` })
    .from(apiTokens)
    .leftJoin(users, eq(users.id, apiTokens.userId))
    .where(and(eq(apiTokens.secretHash, sha256(secret)), isLive(deps)))
  if (found === undefined) return null
  const { apiToken, user } = found
  if (found.isUseDue) {
    // Judged again by the statement itself: of many requests at once, one writes.
    await deps.db
      .update(apiTokens)
      .set({ lastUsedAt: deps.clock.sqlNow() })
      .where(and(eq(apiTokens.id, apiToken.id), isUseDue))
  }
  return { apiToken, user }
}

/** True while a token has not ended. Looking at it is no use of it. */
export async function isApiTokenGood(deps: TokenDeps, tokenId: string): Promise<boolean> {
  const [good] = await deps.db
    .select({ id: apiTokens.id })
    .from(apiTokens)
    .where(and(eq(apiTokens.id, tokenId), isLive(deps)))
  return good !== undefined
}

/** API tokens of the owner by id. The ids are those of rows. */
export function listApiTokensByIds(deps: TokenDeps, owner: ApiTokenOwner, ids: readonly string[]): Promise<ApiToken[]> {
  return deps.db
    .select(shown)
    .from(apiTokens)
    .where(and(isOwnedBy(owner), inArray(apiTokens.id, [...ids])))
}

/** The owner's tokens: those that are good, and the latest that have ended; newest first. */
export function listApiTokens(deps: TokenDeps, owner: ApiTokenOwner): Promise<ApiToken[]> {
  return deps.db
    .select(shown)
    .from(apiTokens)
    .where(isOwnedBy(owner))
    .orderBy(desc(sql`${isLive(deps)}`), desc(apiTokens.createdAt), desc(apiTokens.id))
    .limit(MAX_LISTED)
}

/** Whether a token is good. */
export function apiTokenStatus({ clock }: Pick<Deps, 'clock'>, token: ApiToken): 'ACTIVE' | 'EXPIRED' | 'REVOKED' {
  if (token.revokedAt !== null) return 'REVOKED'
  return token.expiresAt <= clock.now() ? 'EXPIRED' : 'ACTIVE'
}

/**
 * Ends a token at once. One that has ended already stays so.
 * @throws AppError API_TOKEN_NOT_FOUND
 */
export async function revokeApiToken(deps: TokenDeps, owner: ApiTokenOwner, tokenId: string): Promise<ApiToken> {
  const isIt = and(eq(apiTokens.id, tokenId), isOwnedBy(owner))
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
  if (isSecret(secret)) await revokeWhere(deps, eq(apiTokens.secretHash, sha256(secret)), 'LEAKED')
}

/** Deletes the tokens that ended long ago. */
export async function sweepApiTokens(deps: TokenDeps): Promise<void> {
  const endedAt = sql`coalesce(${apiTokens.revokedAt}, ${apiTokens.expiresAt})`
  await deps.db.delete(apiTokens).where(lt(endedAt, sqlIn(deps.clock, -KEPT_AFTER_END_SECONDS)))
}

function revokeWhere(deps: TokenDeps, isIt: SQL | undefined, reason: 'LEAKED' | null): Promise<ApiToken | null> {
  return transaction(deps, async (deps) => {
    const [apiToken] = await deps.db
      .update(apiTokens)
      .set({ revokedAt: deps.clock.sqlNow() })
      .where(and(isIt, isNull(apiTokens.revokedAt)))
      .returning(shown)
    if (apiToken === undefined) return null
    await recordEvent(deps, { type: 'token.revoked', userId: apiToken.userId, apiTokenId: apiToken.id, reason })
    return apiToken
  })
}

async function refuseTooMany(deps: TokenDeps, userId: string): Promise<void> {
  // Whoever makes two at once waits here for the other, so that the count is right.
  await deps.db.select({ id: users.id }).from(users).where(eq(users.id, userId)).for('no key update')
  const [live] = await deps.db
    .select({ count: count() })
    .from(apiTokens)
    .where(and(isOwnedBy({ userId }), isLive(deps)))
  if ((live?.count ?? 0) >= MAX_LIVE_TOKENS) throw new AppError('TOO_MANY_API_TOKENS')
}

function isLive({ clock }: TokenDeps): SQL | undefined {
  return and(isNull(apiTokens.revokedAt), gt(apiTokens.expiresAt, clock.sqlNow()))
}

function isOwnedBy({ userId }: ApiTokenOwner): SQL {
  return userId === null ? isNull(apiTokens.userId) : eq(apiTokens.userId, userId)
}

function readName(text: string): string {
  const name = text.trim()
  if (name === '' || name.length > MAX_NAME_LENGTH || UNPRINTABLE.test(name))
    throw new AppError('API_TOKEN_NAME_INVALID', { field: ['input', 'name'] })
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

function readExpiry(days: number | null): number {
  if (days === null) return DEFAULT_EXPIRY_DAYS
  if (!Number.isInteger(days) || days < 1 || days > MAX_EXPIRY_DAYS)
    throw new AppError('API_TOKEN_EXPIRY_INVALID', { field: ['input', 'expiresInDays'] })
  return days
}
