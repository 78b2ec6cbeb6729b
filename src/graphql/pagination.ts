// What the lists have in common: how large a page may be, what is wrong with an odd one, and how a place in them is written.
import {
  type DefaultConnectionArguments,
  type ResolveCursorConnectionArgs,
  resolveCursorConnection,
} from '@pothos/plugin-relay'
import type { RowPlace } from '../db/keyset.ts'
import { AppError } from '../errors.ts'

const MAX_PAGE = 100
const DEFAULT_PAGE = 20

type PageSize = { first?: number | null; last?: number | null }

/** What a page costs: its own field, and as many times what is asked of each as there are on it. */
export function pageComplexity({ first, last }: PageSize): { field: number; multiplier: number } {
  return { field: 1, multiplier: Math.min(first ?? last ?? DEFAULT_PAGE, MAX_PAGE) }
}

/**
 * A page of a list as a Relay connection. `list` gets up to one row more than is on the page, by which it is seen whether there is more.
 * @throws AppError BAD_USER_INPUT for a size that is none, or two at once.
 */
export async function resolvePage<Row extends object>(
  args: DefaultConnectionArguments,
  toCursor: (row: Row) => string,
  list: (page: ResolveCursorConnectionArgs) => Promise<Row[]>,
) {
  refuseOddPage(args)
  const { edges, pageInfo } = await resolveCursorConnection(
    { args, defaultSize: DEFAULT_PAGE, maxSize: MAX_PAGE, toCursor },
    list,
  )
  // An empty page repeats the cursor that it was asked with; where there was none Pothos writes '', which is no cursor.
  const { startCursor, endCursor } = pageInfo
  return { edges, pageInfo: { ...pageInfo, startCursor: startCursor || null, endCursor: endCursor || null } }
}

/** @throws AppError BAD_USER_INPUT, always: this text is no cursor of the list. */
export function refuseCursor(argument: string): never {
  throw new AppError('BAD_USER_INPUT', {
    field: [argument],
    detail: `"${argument}" is not a cursor of this list. Take one from pageInfo or an edge.`,
  })
}

/** The cursor of a row in a list that is newest first. */
export function writeMomentCursor({ createdAt, id }: RowPlace): string {
  return Buffer.from(`${createdAt.getTime()}:${id}`).toString('base64url')
}

/** @throws AppError BAD_USER_INPUT for a text that `writeMomentCursor` cannot have made. */
export function readMomentCursor(cursor: string, argument: string): RowPlace {
  // 13 digits reach to the year 2286; PostgreSQL does not read the years beyond 9999 that more of them make.
  const text = Buffer.from(cursor, 'base64url').toString()
  const match = /^(\d{1,13}):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(text)
  if (match?.[1] === undefined || match[2] === undefined) return refuseCursor(argument)
  return { createdAt: new Date(Number(match[1])), id: match[2] }
}

function refuseOddPage({ first, last }: PageSize): void {
  for (const [argument, size] of Object.entries({ first, last })) {
    if (typeof size === 'number' && (size < 1 || size > MAX_PAGE)) {
      throw new AppError('BAD_USER_INPUT', {
        field: [argument],
        detail: `"${argument}" must be from 1 to ${MAX_PAGE}.`,
      })
    }
  }
  if (typeof first === 'number' && typeof last === 'number') {
    throw new AppError('BAD_USER_INPUT', { field: ['first'], detail: 'Give "first" or "last", not both.' })
  }
}
