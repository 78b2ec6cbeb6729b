// A gateway as an operator runs it: a process of its own, told everything by its environment.
import { vi } from 'vitest'
import { type Program, type Streams, startProgram } from './program.ts'

export type GatewayProcess = Omit<Program, 'printed'> & {
  /** Until it answers that it is ready. @throws Error with what it printed, when it ends instead. */
  ready(url: string): Promise<void>
}

/** Starts `src/main.ts` with this environment and nothing else. */
export function startGatewayProcess(environment: Record<string, string>, streams: Streams = {}): GatewayProcess {
  const program = startProgram('src/main.ts', environment, [], streams)
  return {
    ...program,
    ready: (url) =>
      vi.waitFor(
        async () => {
          const { status } = await fetch(`${url}/readyz`)
          if (status !== 200) throw new Error(`Not ready: ${status}. It printed:\n${program.output()}`)
        },
        { timeout: 60_000, interval: 100 },
      ),
  }
}
