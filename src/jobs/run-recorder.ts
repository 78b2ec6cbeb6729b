// Stores the runs of the maintenance. All tasks of a minute end within seconds, so their runs are
// gathered and stored by one statement.
import { type EndedRuns, type MaintenanceTaskName, storeMaintenanceRuns } from '../db/maintenance-runs.ts'
import type { Deps } from '../deps.ts'

/** Records the runs of this process. */
export type RunRecorder = {
  /** Records a good run. @param rowCount null for a task that handles no rows. */
  recordSuccess(task: MaintenanceTaskName, durationMilliseconds: number, rowCount: number | null): void
  recordFailure(task: MaintenanceTaskName): void
  /** Stores what is recorded. Never throws. */
  store(): Promise<void>
}

const GATHER_SECONDS = 1

/** Creates the recorder. */
export function createRunRecorder(deps: Pick<Deps, 'db' | 'clock' | 'log'>): RunRecorder {
  const ended = new Map<MaintenanceTaskName, EndedRuns>()
  let timer: NodeJS.Timeout | undefined
  const store = async () => {
    clearTimeout(timer)
    timer = undefined
    const runs = [...ended.values()]
    ended.clear()
    if (runs.length === 0) return
    try {
      await storeMaintenanceRuns(deps, runs)
    } catch (error) {
      // The next runs are stored within a minute.
      deps.log.warn({ error }, 'The last runs of the maintenance could not be stored')
    }
  }
  const record = (runs: EndedRuns) => {
    ended.set(runs.task, runs)
    // After the last task of a round, so that it takes none of the connections beside those of
    // tasks.
    clearTimeout(timer)
    timer = setTimeout(() => void store(), GATHER_SECONDS * 1000)
  }
  return {
    recordSuccess: (task, durationMilliseconds, rowCount) =>
      record({ task, success: { durationMilliseconds, rowCount }, failureCount: 0 }),
    recordFailure: (task) => {
      const { success = null, failureCount = 0 } = ended.get(task) ?? {}
      record({ task, success, failureCount: failureCount + 1 })
    },
    store,
  }
}
