// Tokens are in the clear in memory while they are used, and secrets are in the environment: what writes either to a file, or opens a
// port to it, is kept from doing so as far as we can, and named where we cannot.

const EXPOSING =
  /^--(?:inspect|debug|heapsnapshot|heap-prof|report-on|report-uncaught|experimental-report|abort-on-uncaught|tls-keylog|trace-tls)/

/** Keeps the environment out of the diagnostic reports that Node may be told to write. */
export function keepEnvironmentOutOfReports(): void {
  process.report.excludeEnv = true
}

/**
 * What lets somebody see the memory of this process, or what it says to others: options of Node's, as far as their first `=`, and the
 * variable NODE_DEBUG, which prints headers and bodies.
 * @param environment also NODE_OPTIONS, by which options come as well.
 */
export function findExposingOptions(options: readonly string[], environment: NodeJS.ProcessEnv): string[] {
  const all = [...options, ...(environment.NODE_OPTIONS ?? '').split(/\s+/)]
  // Node takes "_" for "-", and NODE_OPTIONS quotes.
  const named = all.map((option) => option.replaceAll('"', '').replace(/=.*/s, '').replaceAll('_', '-'))
  const exposing = new Set(named.filter((option) => EXPOSING.test(option)))
  return environment.NODE_DEBUG ? [...exposing, 'NODE_DEBUG'] : [...exposing]
}
