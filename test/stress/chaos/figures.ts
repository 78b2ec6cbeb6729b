/** A target of the project, and the measured value. */
export type Figure = { what: string; wanted: string; got: string; reached: boolean }

/** A target with an upper limit. */
export function atMost(what: string, most: number, got: number, unit = ''): Figure {
  return { what, wanted: `at most ${most}${unit}`, got: `${round(got)}${unit}`, reached: got <= most }
}

/** A target with an exact value. */
export function exactly(what: string, wanted: number, got: number): Figure {
  return { what, wanted: String(wanted), got: String(got), reached: got === wanted }
}

/** A target with a lower limit. */
export function atLeast(what: string, least: number, got: number, unit = ''): Figure {
  return { what, wanted: `at least ${least}${unit}`, got: `${round(got)}${unit}`, reached: got >= least }
}

function round(number: number): string {
  return number.toLocaleString('en', { maximumFractionDigits: 2 })
}
