// Logs when a task of the maintenance falls behind, and when it has caught up, once in each
// process.
import { listMaintenanceRuns, type MaintenanceTaskName } from '../db/maintenance-runs.ts'
import type { Deps } from '../deps.ts'

/**
 * Creates a function that compares the tasks with its last call. It throws what the database
 * throws.
 */
export function createTaskWatch(): (deps: Deps) => Promise<void> {
  const behind = new Set<MaintenanceTaskName>()
  return async (deps) => {
    const { log, timing } = deps
    for (const runs of await listMaintenanceRuns(deps, timing.taskBehindSeconds, deps.uptimeSeconds())) {
      const { task } = runs
      if (runs.behind !== null && !behind.has(task)) {
        behind.add(task)
        const { reason, failureCount, since } = runs.behind
        log.error({ task, reason, failureCount, since }, 'A maintenance task has fallen behind')
      }
      if (runs.behind === null && behind.delete(task)) log.info({ task }, 'A maintenance task has caught up')
    }
  }
}
