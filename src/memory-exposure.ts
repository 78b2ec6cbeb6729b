// Tokens are in the clear in memory while they are used, and secrets are in the environment: what writes either to a file, or opens a
// port to it, is kept from doing so as far as we can, and named where we cannot.

const EXPOSING =
  /^--(?:inspect|debug|heapsnapshot|heap-prof|report-on|report-uncaught|experimental-report|abort-on-uncaught)/

/** Keeps the environment out of the diagnostic reports that Node may be told to write. */
export function keepEnvironmentOutOfReports(): void {
  process.report.excludeEnv = true
}

/**
 * The options of Node's, as far as their first `=`, that let somebody see the memory of this process.
 * @param nodeOptions the variable NODE_OPTIONS, by which they come as well.
 */
export function findExposingOptions(options: readonly string[], nodeOptions: string | undefined): string[] {
  const all = [...options, ...(nodeOptions ?? '').split(/\s+/)]
  // Node takes "_" for "-", and NODE_OPTIONS quotes.
  const named = all.map((option) => option.replaceAll('"', '').replace(/=.*/s, '').replaceAll('_', '-'))
  return [...new Set(named.filter((option) => EXPOSING.test(option)))]
}
