import type { Switches } from '../switches.ts'
import type { World } from '../world.ts'
import { endStreams, sendToStreams } from '../x/activity-streams.ts'

/** The part of the control that is about X's Activity API. */
export function createActivityControl(world: World) {
  return {
    /** The number of open streams. */
    countActivityStreams: (): number => world.activityStreams.size,
    /** The event types of the app's subscriptions. */
    activitySubscriptions: (): string[] => world.state.subscriptions.map(({ eventType }) => eventType),
    /** Sends a line on every stream as it is, such as an event again or one of another app. */
    sendActivityLine(line: string): void {
      sendToStreams(world, `${line}\r\n`)
    },
    /** Ends every stream. */
    endActivityStreams(): void {
      endStreams(world)
    },
    /** Sets whether X refuses the Activity API to the app. Off by default. */
    setRefusesActivity(on: boolean): void {
      world.switches.refusesActivity = on
    },
    /** Sets the shape of the response to a new subscription. */
    setSubscriptionShape(shape: Switches['subscriptionShape']): void {
      world.switches.subscriptionShape = shape
    },
    /** Sets the seconds between the empty lines on a stream that is opened from now on. */
    setKeepAliveSeconds(seconds: number): void {
      world.switches.keepAliveSeconds = seconds
    },
  }
}
