// The events of X's Activity API, on the streams that are open when they happen: X repeats none. X
// does not document whether the app's own revocation is an event. Here it is, so that a client must
// cope with it.
import { randomUUID } from 'node:crypto'
import type { World } from '../world.ts'

/** Tells the streams that a user's grant has been revoked. */
export function announceRevocation(world: World, accountId: string): void {
  const payload = { date_time: new Date(world.clock.now()).toISOString(), user_id: accountId, app_id: world.xApp.id }
  sendActivity(world, 'oauth.revoke', accountId, payload)
}

/** Sends an event on every stream, if a subscription asks for it. */
export function sendActivity(
  world: World,
  eventType: string,
  accountId: string,
  payload: Record<string, string>,
): void {
  for (const { eventType: wanted, userId, tag } of world.state.subscriptions) {
    if (wanted !== eventType || (userId !== null && userId !== accountId)) continue
    const filter = userId === null ? {} : { user_id: userId }
    const event = { event_uuid: randomUUID(), filter, event_type: eventType, ...(tag === null ? {} : { tag }), payload }
    sendToStreams(world, `${JSON.stringify({ data: event })}\r\n`)
  }
}

/** Sends a line on every stream as it is. */
export function sendToStreams(world: World, line: string): void {
  for (const stream of world.activityStreams) stream.enqueue(new TextEncoder().encode(line))
}

/** Ends every stream, as X does for a deployment. */
export function endStreams(world: World): void {
  for (const stream of world.activityStreams) stream.close()
  world.activityStreams.clear()
}

/** Opens a stream, which stays open until one side ends it. */
export function openStream(world: World): ReadableStream<Uint8Array> {
  let stream: ReadableStreamDefaultController<Uint8Array> | null = null
  let keepAlive: NodeJS.Timeout | undefined
  const end = () => {
    clearInterval(keepAlive)
    if (stream !== null) world.activityStreams.delete(stream)
  }
  return new ReadableStream({
    start: (controller) => {
      stream = controller
      world.activityStreams.add(controller)
      const beat = () => {
        if (world.activityStreams.has(controller)) controller.enqueue(new TextEncoder().encode('\r\n'))
        else clearInterval(keepAlive)
      }
      keepAlive = setInterval(beat, world.switches.keepAliveSeconds * 1000)
      keepAlive.unref()
    },
    cancel: end,
  })
}
