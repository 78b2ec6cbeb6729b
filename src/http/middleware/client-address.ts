import type { MiddlewareHandler } from 'hono'
import { runForAddress } from '../../db/caller.ts'
import type { Deps } from '../../deps.ts'
import { addressBlock, createAddressReader, createProxyWatch } from '../client-address.ts'
import type { HttpEnv } from '../request-context.ts'

/** Determines the client's address, and warns of proxies that are not in TRUSTED_PROXIES. */
export function clientAddress(deps: Deps): MiddlewareHandler<HttpEnv> {
  const readAddress = createAddressReader(deps.config.trustedProxies)
  const watchProxies = createProxyWatch(deps.log, deps.config.trustedProxies)
  return async (c, next) => {
    const peer = c.env?.incoming?.socket.remoteAddress
    const address = readAddress(peer, c.req.header('x-forwarded-for'))
    c.set('address', address)
    watchProxies(peer, (name) => c.req.header(name))
    return runForAddress(addressBlock(address), next)
  }
}
