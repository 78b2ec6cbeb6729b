// Records events as the features do, without the change that they report.

import { transaction } from '../../src/deps.ts'
import { type NewEvent, recordEvent } from '../../src/events/events.ts'
import type { EventNotifier } from '../../src/process/event-notifier.ts'
import type { World } from './harness.ts'

/** Records events in one transaction. The maintenance queues the jobs of their deliveries. */
export function record({ db, clock }: Pick<World, 'db' | 'clock'>, ...happened: NewEvent[]): Promise<void> {
  return transaction({ db: db(), clock }, (deps) => recordEvent(deps, ...happened))
}

/** Like `record`, with a notification that is lost. */
export function recordSilently({ db, clock }: Pick<World, 'db' | 'clock'>, ...happened: NewEvent[]): Promise<void> {
  const eventNotifier: EventNotifier = { notify: () => {}, end: async () => {} }
  return transaction({ db: db(), clock, eventNotifier }, (deps) => recordEvent(deps, ...happened))
}
