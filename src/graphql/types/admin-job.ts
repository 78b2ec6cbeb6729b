import { type AdminJob, retryJob } from '../../administration/jobs.ts'
import { type JobName, jobNames } from '../../db/jobs.ts'
import { builder } from '../builder.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { actorOf } from './admin-user.ts'

const queueDescriptions: Record<JobName, string> = {
  'revoke-grant': 'Revokes the grant of a disconnected account at X.',
  'reconcile-tweet': 'Looks for an UNKNOWN tweet in the timeline of its account.',
  'finish-connect': 'Finishes a connection that waits for X.',
  'check-connection': 'Checks whether a connection still works.',
  'delete-user': 'Deletes the rows of a user.',
}

/** A queue of background jobs. */
export const JobQueueRef = builder.enumType('JobQueue', {
  description: 'A queue of background jobs.',
  values: Object.fromEntries(
    jobNames.map((name) => [
      name.replaceAll('-', '_').toUpperCase(),
      { description: queueDescriptions[name], value: name },
    ]),
  ),
})

const JobStatusRef = builder.enumType('JobStatus', {
  description: 'The state of a background job. A job that has succeeded is deleted.',
  values: {
    WAITING: { description: 'The job has not run yet.' },
    RETRYING: { description: 'The job has failed, and runs again at `dueAt`.' },
    RUNNING: { description: 'An instance of the gateway is running the job.' },
    FAILED: { description: 'The job has failed as often as its queue allows. It runs again only by `retryJob`.' },
  },
})

/** A background job. */
export const AdminJobRef = builder.objectRef<AdminJob>('AdminJob').implement({
  description: 'A background job.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the job.' }),
    queue: t.field({ type: JobQueueRef, description: 'The queue of the job.', resolve: ({ queue }) => queue }),
    status: t.expose('status', { type: JobStatusRef, description: 'The state of the job.' }),
    userId: t.exposeID('userId', {
      nullable: true,
      description: 'The `AdminUser.id` of the user for whom it works; null in a job of another release.',
    }),
    objectId: t.exposeID('objectId', {
      nullable: true,
      description:
        'The id of what it works on: a tweet, an account, a connect attempt, a deletion, or the revocation of a grant; null in a job of another release.',
    }),
    retries: t.exposeInt('retries', { description: 'How often the job has run again after a failure.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the job was queued.' }),
    dueAt: t.expose('dueAt', { type: 'DateTime', description: 'The earliest time at which the job runs.' }),
  }),
})

const RetryJobInput = builder.inputType('RetryJobInput', {
  description: 'The background job to run.',
  fields: (t) => ({
    queue: t.field({ type: JobQueueRef, required: true, description: 'The `AdminJob.queue` of the job.' }),
    jobId: t.id({ required: true, description: 'The `AdminJob.id` of the job.' }),
  }),
})

const RetryJobPayloadRef = payloadRef<AdminJob>('RetryJobPayload').implement({
  description: 'The result of `retryJob`.',
  fields: (t) => ({
    job: t.field({
      type: AdminJobRef,
      nullable: true,
      description: 'The job, which is due now; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationField('retryJob', (t) =>
  t.field({
    type: RetryJobPayloadRef,
    nullable: true,
    authScopes: { operator: 'admin:write' },
    complexity: mutationComplexity({ rows: 1, events: 2 }),
    description:
      'Has a background job run now: one that waits for its time, or has failed for good. Recorded as OPERATOR_JOB_RETRIED. Fails with JOB_NOT_FOUND, also for a job that is running.',
    args: { input: t.arg({ type: RetryJobInput, required: true, description: 'The background job to run.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => retryJob(context.deps, actorOf(context), input.queue as JobName, String(input.jobId))),
  }),
)
