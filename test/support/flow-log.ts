// What the operator sees of a sign-in or a connection that failed: one line of the log, and in
// /readyz the problems that only the operator can solve.
import { expect } from 'vitest'
import type { World } from './harness.ts'

type Line = Record<string, unknown> & { msg: string }

type Problem = { code: string; detail: string }

export type ExpectedLine = {
  errorCode: string
  providerCode?: string
  httpStatus?: number
  socketReason?: string
  fault: string
}

const LEVELS: Record<string, string> = { PERSON: 'info', PROVIDER: 'warn', OPERATOR: 'error' }

/**
 * Returns the log lines about OAuth flows that failed or wait: those written during `work`, or from
 * `before` on.
 */
export async function linesOf(
  world: World,
  work: () => Promise<unknown>,
  before = world.logs().length,
): Promise<Line[]> {
  await work()
  const lines = world.logs().slice(before).trimEnd().split('\n')
  return lines
    .filter((line) => line !== '')
    .map((line): Line => JSON.parse(line))
    .filter(({ msg }) => /^A (sign-in|connection) (failed|waits)/.test(msg))
}

/** Expects one line with these fields, at the level of its fault. */
export function expectLine(lines: Line[], { fault, errorCode, ...rest }: ExpectedLine): void {
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({
    level: LEVELS[fault],
    providerCode: null,
    httpStatus: null,
    socketReason: null,
    ...rest,
    errorCode,
    fault,
  })
}

/** Returns the problems in /readyz. */
export async function problemsOf(world: World): Promise<Problem[]> {
  const response = await world.browser().request('/readyz')
  expect(response.status).toBe(200)
  return ((await response.json()) as { problems: Problem[] }).problems
}

/** Returns the codes of these problems. */
export function codesOf(problems: { code: string }[]): string[] {
  return problems.map(({ code }) => code)
}
