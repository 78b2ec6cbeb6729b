// Readers that follow a user's events while others write them: one polls, one streams, one receives.
import { setTimeout as sleep } from 'node:timers/promises'
import { asc, eq } from 'drizzle-orm'
import { expect, vi } from 'vitest'
import type { Db } from '../../src/db/client.ts'
import { eventPositions, events } from '../../src/db/tables.ts'
import type { EventPage } from './event-reader.ts'

const PAGE = 3

/**
 * Polls with small pages from a cursor until `isDone` and the list has no more. Returns the ids of
 * the events, in the order in which they were found.
 */
export async function poll(
  readPage: (variables: { first: number; after: string | null }) => Promise<EventPage>,
  cursor: string | null,
  isDone: () => boolean,
): Promise<string[]> {
  const found: string[] = []
  let after = cursor
  for (let last = false; !last; ) {
    // Asked before the read: what was written until then is on this page or a later one.
    const done = isDone()
    // Without it, a few readers occupy the one connection of the embedded database.
    await sleep(50)
    const page = await readPage({ first: PAGE, after })
    found.push(...page.edges.map(({ node }) => node.id))
    after = page.pageInfo.endCursor ?? after
    last = done && !page.pageInfo.hasNextPage
  }
  return found
}

/** The ids of a user's events after a position, by position. Their positions must have no hole. */
export async function readWholeOrder(db: Db, userId: string, after: number): Promise<string[]> {
  const rows = await db.select().from(events).where(eq(events.userId, userId)).orderBy(asc(events.position))
  const later = rows.filter(({ position }) => position > after)
  expect(later.map(({ position }) => position)).toEqual(later.map((_, index) => after + index + 1))
  const [counter] = await db.select().from(eventPositions).where(eq(eventPositions.userId, userId))
  expect(counter?.position).toBe(after + later.length)
  return later.map(({ id }) => id)
}

/** The position of a user's newest event. */
export async function readPosition(db: Db, userId: string): Promise<number> {
  const [counter] = await db.select().from(eventPositions).where(eq(eventPositions.userId, userId))
  return counter?.position ?? 0
}

/** Waits until `read` gives these ids, in this order. */
export async function gives(read: () => readonly string[], ids: readonly string[]): Promise<void> {
  await vi.waitFor(() => expect(read()).toEqual(ids), { timeout: 120_000, interval: 100 })
}
