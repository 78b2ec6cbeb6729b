// Secrets are in the environment and, while tokens are used, in memory. These functions keep Node
// from writing either to a file, and find the options that would expose them.

const EXPOSING =
  /^--(?:inspect|debug|heapsnapshot|heap-prof|report-on|report-uncaught|experimental-report|abort-on-uncaught|tls-keylog|trace-tls)/

/** Keeps the environment out of Node's diagnostic reports. */
export function keepEnvironmentOutOfReports(): void {
  process.report.excludeEnv = true
}

/**
 * Returns the settings that expose the memory or traffic of this process: Node options, each up to
 * its first `=`, and the variable NODE_DEBUG, which prints headers and bodies.
 * @param options the command line options of Node.
 * @param environment for NODE_DEBUG, and for the options in NODE_OPTIONS.
 */
export function findExposingOptions(options: readonly string[], environment: NodeJS.ProcessEnv): string[] {
  const all = [...options, ...(environment.NODE_OPTIONS ?? '').split(/\s+/)]
  // Node accepts "_" for "-", and quotes in NODE_OPTIONS.
  const names = all.map((option) => option.replaceAll('"', '').replace(/=.*/s, '').replaceAll('_', '-'))
  const exposing = new Set(names.filter((name) => EXPOSING.test(name)))
  return environment.NODE_DEBUG ? [...exposing, 'NODE_DEBUG'] : [...exposing]
}
