/** A figure that the project wants to reach, and what came of it. */
export type Figure = { what: string; wanted: string; got: string; reached: boolean }

/** A figure of which there may be so many at most. */
export function atMost(what: string, most: number, got: number, unit = ''): Figure {
  return { what, wanted: `at most ${most}${unit}`, got: `${round(got)}${unit}`, reached: got <= most }
}

/** A figure that must be just so. */
export function exactly(what: string, wanted: number, got: number): Figure {
  return { what, wanted: String(wanted), got: String(got), reached: got === wanted }
}

/** A figure of which there must be so many at least. */
export function atLeast(what: string, least: number, got: number, unit = ''): Figure {
  return { what, wanted: `at least ${least}${unit}`, got: `${round(got)}${unit}`, reached: got >= least }
}

function round(number: number): string {
  return number.toLocaleString('en', { maximumFractionDigits: 2 })
}
