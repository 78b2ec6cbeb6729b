// Relay connections: the page size, the complexity, and the page itself.
import {
  type DefaultConnectionArguments,
  type ResolveCursorConnectionArgs,
  resolveCursorConnection,
} from '@pothos/plugin-relay'
import { AppError } from '../errors.ts'
import type { CursorCodec } from './cursor.ts'

const MAX_PAGE = 100
const DEFAULT_PAGE = 20

/** The arguments of a list that say how many entries a page has. */
export type PageSize = { first?: number | null; last?: number | null }

/** The requested part of a list: `limit` rows between two places, counted from one end. */
export type PageRequest<Place> = { after: Place | null; before: Place | null; limit: number; backward: boolean }

/**
 * Returns the complexity of a connection: 1 for its own field, and that of one entry times the page
 * size.
 */
export function pageComplexity({ first, last }: PageSize): { field: number; multiplier: number } {
  return { field: 1, multiplier: Math.min(first ?? last ?? DEFAULT_PAGE, MAX_PAGE) }
}

/**
 * Returns one page of a list as a Relay connection. `list` is called with a limit one above the
 * page size: the extra row shows that there is a next page.
 * @throws AppError BAD_USER_INPUT for a size out of range, two sizes at once, or a cursor of
 * another list.
 */
export async function resolvePage<Place, Row extends Place & object>(
  args: DefaultConnectionArguments,
  codec: CursorCodec<Place>,
  list: (page: PageRequest<Place>) => Promise<Row[]>,
) {
  assertPageSize(args)
  const listRows = ({ after, before, limit, inverted }: ResolveCursorConnectionArgs): Promise<Row[]> =>
    list({
      after: after === undefined ? null : codec.parse(after, 'after'),
      before: before === undefined ? null : codec.parse(before, 'before'),
      limit,
      backward: inverted,
    })
  const { edges, pageInfo } = await resolveCursorConnection(
    { args, defaultSize: DEFAULT_PAGE, maxSize: MAX_PAGE, toCursor: (row: Row) => codec.write(row) },
    listRows,
  )
  // An empty page repeats the cursor that it was asked with. Pothos writes '' where there was none.
  const { startCursor, endCursor } = pageInfo
  return { edges, pageInfo: { ...pageInfo, startCursor: startCursor || null, endCursor: endCursor || null } }
}

// The rows that a filter may pass over, compared with the fields of a page.
const FILTER_COMPLEXITY = 100

/** The complexity of a connection whose filter passes over rows: that of any, and more for a filter. */
export function filteredPageComplexity(size: PageSize, isFiltered: boolean): { field: number; multiplier: number } {
  const { field, multiplier } = pageComplexity(size)
  return { field: field + (isFiltered ? FILTER_COMPLEXITY : 0), multiplier }
}

/** The `PageInfo` of a connection. */
export type PageInfo = {
  hasNextPage: boolean
  hasPreviousPage: boolean
  startCursor: string | null
  endCursor: string | null
}

/**
 * Returns the `PageInfo` of a page that has ended where its filter was applied to enough rows: the next
 * page begins behind these.
 * @param examinedTo the cursor of the last of these rows; null when the page is complete.
 * @param backward true for a page that was asked for by `last`.
 */
export function continuePage(pageInfo: PageInfo, examinedTo: string | null, backward: boolean): PageInfo {
  if (examinedTo === null) return pageInfo
  return backward
    ? { ...pageInfo, hasPreviousPage: true, startCursor: examinedTo }
    : { ...pageInfo, hasNextPage: true, endCursor: examinedTo }
}

function assertPageSize({ first, last }: PageSize): void {
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
