// Writes and parses the cursors of the API (keyset pagination). A cursor is base64url of the keyset
// of a row, so that it stays valid while rows are inserted and deleted.
import type { RowKey } from '../db/keyset.ts'
import { AppError } from '../errors.ts'

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'

/** Converts between the places in one kind of list and their cursors. */
export type CursorCodec<Place> = {
  write(place: Place): string
  /** @throws AppError BAD_USER_INPUT for a text that is not a cursor of this kind of list. */
  parse(cursor: string, argument: string): Place
}

/** For lists that are ordered by the time of creation, and by id within a millisecond. */
export const rowCursor: CursorCodec<RowKey> = createCodec(
  // 13 digits reach the year 2286. More digits give years beyond 9999, which PostgreSQL does not
  // parse.
  new RegExp(`^(\\d{1,13}):(${UUID})$`),
  ({ createdAt, id }) => `${createdAt.getTime()}:${id}`,
  ([milliseconds, id]) => ({ createdAt: new Date(Number(milliseconds)), id: id ?? '' }),
)

/** For events, which are ordered by position. 15 digits are always a safe integer. */
export const eventCursor: CursorCodec<{ position: number }> = createCodec(
  /^event:(\d{1,15})$/,
  ({ position }) => `event:${position}`,
  ([position]) => ({ position: Number(position) }),
)

/** For users, who are ordered by id. */
export const userCursor: CursorCodec<{ id: string }> = createCodec(
  new RegExp(`^user:(${UUID})$`),
  ({ id }) => `user:${id}`,
  ([id]) => ({ id: id ?? '' }),
)

/** For the operator's lists, which are ordered by id. */
export const idCursor: CursorCodec<{ id: string }> = createCodec(
  new RegExp(`^id:(${UUID})$`),
  ({ id }) => `id:${id}`,
  ([id]) => ({ id: id ?? '' }),
)

/** For tweets in doubt, which are ordered by the reads of their timelines. */
export const unknownTweetCursor: CursorCodec<{ timelineReads: number; userId: string; id: string }> = createCodec(
  new RegExp(`^unknown:(\\d{1,9}):(${UUID}):(${UUID})$`),
  ({ timelineReads, userId, id }) => `unknown:${timelineReads}:${userId}:${id}`,
  ([timelineReads, userId, id]) => ({ timelineReads: Number(timelineReads), userId: userId ?? '', id: id ?? '' }),
)

function createCodec<Place>(
  form: RegExp,
  write: (place: Place) => string,
  parse: (parts: string[]) => Place,
): CursorCodec<Place> {
  return {
    write: (place) => Buffer.from(write(place)).toString('base64url'),
    parse: (cursor, argument) => {
      const match = form.exec(Buffer.from(cursor, 'base64url').toString())
      if (match !== null) return parse(match.slice(1))
      throw new AppError('BAD_USER_INPUT', {
        field: [argument],
        detail: `"${argument}" is not a cursor of this list. Take one from pageInfo or an edge.`,
      })
    },
  }
}
