// xconnect webhook: the operator's webhook endpoints. They are told what happens to the accounts of users who show them to integrators.
import { parseArgs } from 'node:util'
import { eventTypes } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { EventType } from '../events/events.ts'
import {
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  listWebhookEndpoints,
  rotateWebhookSecret,
  updateWebhookEndpoint,
  type WebhookEndpoint,
} from '../webhooks/endpoints.ts'
import type { Output } from './output.ts'
import { UsageError } from './usage-error.ts'

export const WEBHOOK_USAGE = `  xconnect webhook create --url URL [--types account.needs_reauth,…] [--description TEXT]
                           make a webhook endpoint of the operator's, and print its secret: the only time it is shown
  xconnect webhook list    list them, the oldest first
  xconnect webhook rotate ID
                           replace its secret, and print the new one; the old one signs as well for a day
  xconnect webhook enable ID, disable ID, delete ID`

type Needs = Pick<Deps, 'db' | 'clock' | 'config' | 'webhookEgress'>
type CreateOptions = { url: string; types: EventType[] | null; description: string | null }

const OPERATOR = null

/** Understands what follows `xconnect webhook`. @returns what carries it out, and returns the exit code. @throws UsageError */
export function readWebhookCommand(words: readonly string[]): (deps: Needs, output: Output) => Promise<number> {
  const work = readWork(words)
  return (deps, output) => explainRefusal(output, () => work(deps, output))
}

function readWork([verb, ...rest]: readonly string[]): (deps: Needs, output: Output) => Promise<number> {
  if (verb === 'create') {
    const options = readOptions(rest)
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

async function explainRefusal(output: Output, work: () => Promise<number>): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    output.remark(
      error.code === 'WEBHOOK_ENDPOINT_NOT_FOUND'
        ? 'There is no such endpoint: see xconnect webhook list.'
        : error.message,
    )
    return 1
  }
}

async function create(deps: Needs, options: CreateOptions, output: Output): Promise<number> {
  const { endpoint, secret } = await createWebhookEndpoint(deps, OPERATOR, options)
  output.remark(`Made ${endpoint.id}. This is the only time its secret is shown:`)
  output.answer(secret)
  return 0
}

async function list(deps: Needs, output: Output): Promise<number> {
  const endpoints = await listWebhookEndpoints(deps, OPERATOR)
  if (endpoints.length === 0) output.remark('There is none yet: xconnect webhook create makes one.')
  for (const endpoint of endpoints) output.answer(describe(endpoint))
  return 0
}

async function rotate(deps: Needs, id: string, output: Output): Promise<number> {
  const { endpoint, secret } = await rotateWebhookSecret(deps, OPERATOR, id)
  const until = endpoint.previousSecretEndsAt
  output.remark(
    `${until === null ? '' : `Until ${until.toISOString()} the old secret signs as well. `}This is the only time the new one is shown:`,
  )
  output.answer(secret)
  return 0
}

async function setEnabled(deps: Needs, id: string, enabled: boolean, output: Output): Promise<number> {
  const { url } = await updateWebhookEndpoint(deps, OPERATOR, id, { enabled })
  output.remark(`${url} is ${enabled ? 'enabled' : 'disabled'}.`)
  return 0
}

async function remove(deps: Needs, id: string, output: Output): Promise<number> {
  const { url } = await deleteWebhookEndpoint(deps, OPERATOR, id)
  output.remark(`${url} is deleted, with all that was still to be sent there.`)
  return 0
}

function describe({ id, status, disabledReason, failingSince, eventTypes, url, description }: WebhookEndpoint): string {
  return [
    id,
    disabledReason === null ? status : `${status} (${disabledReason})`,
    failingSince === null ? 'well' : `failing since ${failingSince.toISOString()}`,
    eventTypes?.join(',') ?? 'all events',
    url,
    description ?? '',
  ]
    .join('  ')
    .trimEnd()
}

function readOptions(words: string[]): CreateOptions {
  const { url, types: list, description = null } = parseOptions(words)
  if (url === undefined) throw new UsageError()
  const types = list?.split(/[\s,]+/) ?? null
  const unknown = types?.filter((type) => !isEventType(type)) ?? []
  if (unknown.length > 0)
    throw new UsageError(`There is no event ${unknown.join(', ')}. There are: ${eventTypes.join(', ')}.`)
  return { url, types: types?.filter(isEventType) ?? null, description }
}

function parseOptions(words: string[]) {
  try {
    return parseArgs({
      args: words,
      options: { url: { type: 'string' }, types: { type: 'string' }, description: { type: 'string' } },
    }).values
  } catch {
    // An option that there is not, or one without a value.
    throw new UsageError()
  }
}

function isEventType(text: string): text is EventType {
  return eventTypes.some((type) => type === text)
}
