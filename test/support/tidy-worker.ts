// One worker runs many test files, one after another. After each file this restores the process:
// environment variables, globals, spies, the clock, and undici's global dispatcher, which every
// gateway replaces and closes.
import { flushCompileCache } from 'node:module'
import { getGlobalDispatcher, setGlobalDispatcher } from 'undici'
import { afterAll, vi } from 'vitest'

const dispatcher = getGlobalDispatcher()

afterAll(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  vi.unstubAllGlobals()
  setGlobalDispatcher(dispatcher)
  // Node would do so at the exit, and vitest kills its workers.
  flushCompileCache()
})
