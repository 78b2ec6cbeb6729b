// What the lists have in common: how large a page may be, and what is wrong with an odd one.
import { AppError } from '../errors.ts'

export const MAX_PAGE = 100
export const DEFAULT_PAGE = 20

type PageSize = { first?: number | null; last?: number | null }

/** What a page costs: its own field, and as many times what is asked of each as there are on it. */
export function pageComplexity({ first, last }: PageSize): { field: number; multiplier: number } {
  return { field: 1, multiplier: Math.min(first ?? last ?? DEFAULT_PAGE, MAX_PAGE) }
}

/** @throws AppError BAD_USER_INPUT for a size that is none, or two at once. */
export function refuseOddPage({ first, last }: PageSize): void {
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

/** @throws AppError BAD_USER_INPUT, always: this text is no cursor of the list. */
export function refuseCursor(argument: string): never {
  throw new AppError('BAD_USER_INPUT', {
    field: [argument],
    detail: `"${argument}" is not a cursor of this list. Take one from pageInfo or an edge.`,
  })
}
