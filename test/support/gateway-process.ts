// Starts a gateway as an operator does: in its own process, configured by environment variables.
import { type Program, type Streams, startProgram, waitWhileRunning } from './program.ts'

export type GatewayProcess = Omit<Program, 'printed'> & {
  /** Waits until it is ready. @throws Error with its output, if it ends instead. */
  ready(url: string): Promise<void>
}

/** Starts `src/main.ts` with these environment variables alone. */
export function startGatewayProcess(environment: Record<string, string>, streams: Streams = {}): GatewayProcess {
  const program = startProgram('src/main.ts', environment, [], streams)
  return {
    ...program,
    ready: (url) =>
      waitWhileRunning(program, { timeout: 180_000, interval: 100 }, async () => {
        const { status } = await fetch(`${url}/readyz`)
        if (status !== 200) throw new Error(`Not ready: ${status}. It printed:\n${program.output()}`)
      }),
  }
}
