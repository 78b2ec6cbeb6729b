// The exchange of an authorization code for tokens, which a story slows down so that other requests
// arrive meanwhile.
import { expect } from 'vitest'
import type { World } from './harness.ts'

/** The token endpoints of the providers. */
export const tokenPaths = { GITHUB: '/login/oauth/access_token', X: '/2/oauth2/token' } as const

type Provider = keyof typeof tokenPaths

/** Returns the operations on exchanges in this world, which exists once they are called. */
export function tokenExchanges(world: () => World) {
  const countExchanges = (provider: Provider): number =>
    world().sandbox.control.countReceived({ method: 'POST', path: tokenPaths[provider] })

  return {
    /** Returns the number of exchanges that the provider has received. */
    countExchanges,

    /** Delays the next exchange, so that other requests arrive meanwhile. */
    slowDown(provider: Provider, kind: 'delay' | 'delayAfter' = 'delay'): void {
      world().sandbox.control.inject({ kind, milliseconds: 1_500, match: { path: tokenPaths[provider] } })
    },

    /** Resolves once the provider has received another exchange. */
    async untilExchanging(provider: Provider, before: number): Promise<void> {
      await expect.poll(() => countExchanges(provider), { interval: 5, timeout: 60_000 }).toBe(before + 1)
    },
  }
}
