// The operator's invites, each for one new user. The link holds the secret, and the database its
// hash.
import { and, count, desc, eq, getTableColumns, gt, lt } from 'drizzle-orm'
import { randomToken, sha256 } from '../crypto.ts'
import { deleteOfUsers } from '../db/batch-deletion.ts'
import { sqlIn } from '../db/clock.ts'
import { isRowId } from '../db/row-id.ts'
import { invites, OPERATOR_ID } from '../db/tables.ts'
import { lockUserAlone } from '../db/user-lock.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type Actor, type RecordDeps, recordAct } from '../events/operator-acts.ts'
import { isPrintable } from '../printable.ts'

/** An invite without the hash of its secret. */
export type Invite = Omit<typeof invites.$inferSelect, 'secretHash' | 'userId'>

/** The parameter of `/auth/github` that carries the secret. */
export const INVITE_PARAMETER = 'invite'
export const DEFAULT_INVITE_DAYS = 7
export const MAX_INVITE_DAYS = 90
/** The number of open invites: all of them are one list. */
export const MAX_INVITES = 100
const MAX_NOTE_LENGTH = 200
const DAY_SECONDS = 86_400

const { secretHash: _hash, userId: _operator, ...shown } = getTableColumns(invites)

type InviteDeps = RecordDeps & Pick<Deps, 'config'>

/**
 * Creates an invite, and returns its link, which cannot be read again.
 * @param input `expiresInDays` null for a week, `note` null for none.
 * @throws AppError INVITE_NOTE_INVALID, INVITE_EXPIRY_INVALID, TOO_MANY_INVITES
 */
export async function createInvite(
  deps: InviteDeps,
  actor: Actor,
  input: { note: string | null; expiresInDays: number | null },
): Promise<{ invite: Invite; url: string }> {
  const note = parseNote(input.note)
  const days = parseDays(input.expiresInDays ?? DEFAULT_INVITE_DAYS)
  const secret = randomToken()
  const invite = await transaction(deps, async (deps) => {
    await lockUserAlone(deps.db, OPERATOR_ID)
    const [open] = await deps.db.select({ count: count() }).from(invites).where(isOpen(deps))
    if ((open?.count ?? 0) >= MAX_INVITES) throw new AppError('TOO_MANY_INVITES')
    const [created] = await deps.db
      .insert(invites)
      .values({
        userId: OPERATOR_ID,
        secretHash: sha256(secret),
        note,
        createdBy: actor.name,
        createdAt: deps.clock.sqlNow(),
        expiresAt: sqlIn(deps.clock, days * DAY_SECONDS),
      })
      .returning(shown)
    if (created === undefined) throw new Error('Bug: an insert returned no row')
    await recordAct(deps, actor, { type: 'operator.invite_created' })
    return created
  })
  const url = new URL('/auth/github', deps.config.publicUrl)
  url.searchParams.set(INVITE_PARAMETER, secret)
  return { invite, url: url.href }
}

/** Returns the open invites, newest first: at most `MAX_INVITES`. */
export function listInvites(deps: Pick<Deps, 'db' | 'clock'>): Promise<Invite[]> {
  return deps.db
    .select(shown)
    .from(invites)
    .where(isOpen(deps))
    .orderBy(desc(invites.createdAt), desc(invites.id))
    .limit(MAX_INVITES)
}

/** Revokes an invite. @throws AppError INVITE_NOT_FOUND */
export async function revokeInvite(deps: RecordDeps, actor: Actor, inviteId: string): Promise<Invite> {
  const revoked = await transaction(deps, async (deps) => {
    const [invite] = isRowId(inviteId)
      ? await deps.db
          .delete(invites)
          .where(and(isOpen(deps), eq(invites.id, inviteId)))
          .returning(shown)
      : []
    if (invite !== undefined) await recordAct(deps, actor, { type: 'operator.invite_revoked' })
    return invite
  })
  if (revoked === undefined) throw new AppError('INVITE_NOT_FOUND', { field: ['input', 'inviteId'] })
  return revoked
}

/**
 * Uses an invite up, in the transaction that inserts its user. Of any number of callers one gets
 * true.
 */
export async function redeemInvite(deps: Pick<Deps, 'db' | 'clock'>, secretHash: string): Promise<boolean> {
  const [redeemed] = await deps.db
    .delete(invites)
    .where(and(isOpen(deps), eq(invites.secretHash, secretHash)))
    .returning({ id: invites.id })
  return redeemed !== undefined
}

/** Deletes the invites that have expired, until the signal, and returns how many. */
export async function sweepInvites(deps: Pick<Deps, 'db' | 'clock'>, signal?: AbortSignal): Promise<number> {
  const { userId, secretHash: id, expiresAt } = invites
  const isOver = and(eq(userId, OPERATOR_ID), lt(expiresAt, deps.clock.sqlNow()))
  return deleteOfUsers(deps, invites, { userId, id }, isOver, signal)
}

function isOpen({ clock }: Pick<Deps, 'clock'>) {
  return and(eq(invites.userId, OPERATOR_ID), gt(invites.expiresAt, clock.sqlNow()))
}

function parseNote(text: string | null): string | null {
  const note = text?.trim() ?? null
  if (note === null) return null
  if (!isPrintable(note, MAX_NOTE_LENGTH)) throw new AppError('INVITE_NOTE_INVALID', { field: ['input', 'note'] })
  return note
}

function parseDays(days: number): number {
  if (!Number.isInteger(days) || days < 1 || days > MAX_INVITE_DAYS)
    throw new AppError('INVITE_EXPIRY_INVALID', { field: ['input', 'expiresInDays'] })
  return days
}
