// xconnect webhook: the operator's webhook endpoints. They receive account events of users who show
// their accounts to integrators.
import { eventTypes, OPERATOR_ID } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { EventType } from '../events/events.ts'
import { toPrintable } from '../printable.ts'
import type { WebhookEndpoint } from '../webhooks/endpoint-rows.ts'
import {
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  listWebhookEndpoints,
  rotateWebhookSecret,
  updateWebhookEndpoint,
} from '../webhooks/endpoints.ts'
import type { Output } from './output.ts'
import { parseOptions, reportErrors } from './subcommand.ts'
import { UsageError } from './usage-error.ts'

export const WEBHOOK_USAGE = `  xconnect webhook create --url URL [--types account.needs_reauth,…] [--description TEXT]
                           create a webhook endpoint of the operator and print its secret; it is not shown again
  xconnect webhook list    list the operator's webhook endpoints, oldest first
  xconnect webhook rotate ID
                           replace the secret and print the new one; for a day the old secret signs as well
  xconnect webhook enable ID
                           send the events from now on
  xconnect webhook disable ID
                           send no more events and drop the pending deliveries
  xconnect webhook delete ID
                           delete the endpoint with its deliveries`

const ERRORS = { WEBHOOK_ENDPOINT_NOT_FOUND: 'There is no endpoint with this id. xconnect webhook list shows the ids.' }

type CommandDeps = Pick<Deps, 'db' | 'clock' | 'config' | 'webhookEgress'>
type CreateOptions = { url: string; types: EventType[] | null; description: string | null }

/**
 * Parses the arguments of `xconnect webhook`.
 * @returns the function that runs it and returns the exit code.
 * @throws UsageError
 */
export function parseWebhookCommand(words: readonly string[]): (deps: CommandDeps, output: Output) => Promise<number> {
  return reportErrors(ERRORS, parseSubcommand(words))
}

function parseSubcommand([verb, ...rest]: readonly string[]): (deps: CommandDeps, output: Output) => Promise<number> {
  if (verb === 'create') {
    const options = parseCreateOptions(rest)
    return (deps, output) => create(deps, options, output)
  }
  if (verb === 'list' && rest.length === 0) return list
  const [id] = rest
  if (id === undefined || rest.length > 1) throw new UsageError()
  if (verb === 'rotate') return (deps, output) => rotate(deps, id, output)
  if (verb === 'enable' || verb === 'disable') return (deps, output) => setEnabled(deps, id, verb === 'enable', output)
  if (verb === 'delete') return (deps, output) => remove(deps, id, output)
  throw new UsageError()
}

async function create(deps: CommandDeps, options: CreateOptions, output: Output): Promise<number> {
  const { endpoint, secret } = await createWebhookEndpoint(deps, OPERATOR_ID, options)
  output.message(`Created ${endpoint.id}. The secret is not shown again:`)
  output.result(secret)
  return 0
}

async function list(deps: CommandDeps, output: Output): Promise<number> {
  const endpoints = await listWebhookEndpoints(deps, OPERATOR_ID)
  if (endpoints.length === 0) output.message('There are no endpoints. Create one with xconnect webhook create.')
  for (const endpoint of endpoints) output.result(describe(endpoint))
  return 0
}

async function rotate(deps: CommandDeps, id: string, output: Output): Promise<number> {
  const { endpoint, secret } = await rotateWebhookSecret(deps, OPERATOR_ID, id)
  const until = endpoint.previousSecretEndsAt
  output.message(
    `${until === null ? '' : `Until ${until.toISOString()} the old secret signs as well. `}The new secret is not shown again:`,
  )
  output.result(secret)
  return 0
}

async function setEnabled(deps: CommandDeps, id: string, enabled: boolean, output: Output): Promise<number> {
  const { url } = await updateWebhookEndpoint(deps, OPERATOR_ID, id, { enabled })
  output.message(`${url} is ${enabled ? 'enabled' : 'disabled'}.`)
  return 0
}

async function remove(deps: CommandDeps, id: string, output: Output): Promise<number> {
  const { url } = await deleteWebhookEndpoint(deps, OPERATOR_ID, id)
  output.message(`${url} is deleted, with its pending deliveries.`)
  return 0
}

function describe({ id, status, disabledReason, failingSince, eventTypes, url, description }: WebhookEndpoint): string {
  return [
    id,
    disabledReason === null ? status : `${status} (${disabledReason})`,
    failingSince === null ? 'ok' : `failing since ${failingSince.toISOString()}`,
    eventTypes?.join(',') ?? 'all events',
    url,
    toPrintable(description ?? ''),
  ]
    .join('  ')
    .trimEnd()
}

function parseCreateOptions(words: string[]): CreateOptions {
  const {
    url,
    types: list,
    description = null,
  } = parseOptions(words, { url: { type: 'string' }, types: { type: 'string' }, description: { type: 'string' } })
  if (url === undefined) throw new UsageError()
  const types = list?.split(/[\s,]+/) ?? null
  const unknown = types?.filter((type) => !isEventType(type)) ?? []
  if (unknown.length > 0)
    throw new UsageError(`Unknown event type: ${unknown.join(', ')}. The event types are ${eventTypes.join(', ')}.`)
  return { url, types: types?.filter(isEventType) ?? null, description }
}

function isEventType(text: string): text is EventType {
  return eventTypes.some((type) => type === text)
}
