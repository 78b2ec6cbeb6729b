import type { Hono } from 'hono'
import type { World } from './world.ts'

export function addPages(app: Hono, world: World): void {
  app.get('/', (c) => c.text(`Sandbox at ${world.url}`))
}
