// xconnect job: the background jobs.
import { type AdminJob, listJobs, retryJob } from '../administration/jobs.ts'
import { type JobName, jobNames } from '../db/jobs.ts'
import { commandActor } from './actor.ts'
import { type AdminWork, confirm, pageOptions, parsePage, printPage, toIdPage } from './administration.ts'
import { parseOptions, reportErrors } from './subcommand.ts'
import { UsageError } from './usage-error.ts'

export const JOB_USAGE = `  xconnect job list QUEUE [--limit N] [--after ID] [--json]
                           list the jobs of a queue: ${jobNames.join(', ')}
  xconnect job retry QUEUE ID [--as NAME] [--yes]
                           run a job now that waits or has failed`

const ERRORS = { JOB_NOT_FOUND: 'This queue has no job with this id that waits or has failed.' }

/**
 * Parses the arguments of `xconnect job`.
 * @returns the function that runs it and returns the exit code.
 * @throws UsageError
 */
export function parseJobCommand(words: readonly string[]): AdminWork {
  return reportErrors(ERRORS, parseSubcommand(words))
}

function parseSubcommand([verb, name, ...rest]: readonly string[]): AdminWork {
  const queue = parseQueue(name)
  if (verb === 'list') {
    const page = parsePage(parseOptions(rest, pageOptions))
    return async (deps, output) => printPage(output, page, await listJobs(deps, queue, toIdPage(page)), describe)
  }
  const [id = '', ...others] = rest
  if (verb !== 'retry' || id === '' || id.startsWith('-')) throw new UsageError()
  const { as, yes = false } = parseOptions(others, { as: { type: 'string' }, yes: { type: 'boolean' } })
  const actor = commandActor(as)
  return async (deps, output) => {
    if (!(await confirm(output, yes, `Run the job ${id} now?`))) return 1
    await retryJob(deps, actor, queue, id)
    output.message('The job is due. A gateway runs it.')
    return 0
  }
}

function parseQueue(name: string | undefined): JobName {
  const queue = jobNames.find((known) => known === name)
  if (queue === undefined) throw new UsageError(`The queues are ${jobNames.join(', ')}.`)
  return queue
}

function describe({ id, status, userId, objectId, retries, dueAt }: AdminJob): string {
  return [
    id,
    status.padEnd(8),
    `user ${userId ?? '-'}`,
    `of ${objectId ?? '-'}`,
    `${retries} retries`,
    `due ${dueAt.toISOString()}`,
  ].join('  ')
}
