import { Hono } from 'hono'
import type { Deps } from '../deps.ts'

/** The pages for people: the console at / and GraphiQL at /graphql, with everything they load. */
export function consoleRoutes(_deps: Deps): Hono {
  return new Hono()
}
