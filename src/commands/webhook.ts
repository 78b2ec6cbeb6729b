// xconnect webhook: the operator's webhook endpoints. They are told what happens to the accounts of users who show them to integrators.
import { parseArgs } from 'node:util'
import { eventTypes } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { EventType } from '../events.ts'
import {
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  listWebhookEndpoints,
  rotateWebhookSecret,
  updateWebhookEndpoint,
  type WebhookEndpoint,
} from '../webhooks/endpoints.ts'
import type { Output } from './output.ts'

export const WEBHOOK_USAGE = `  xconnect webhook create --url URL [--types account.needs_reauth,…] [--description TEXT]
                           make a webhook endpoint of the operator's, and print its secret: the only time it is shown
  xconnect webhook list    list them, the oldest first
  xconnect webhook rotate ID
                           replace its secret, and print the new one; the old one signs as well for a day
  xconnect webhook enable ID, disable ID, delete ID`

type Needs = Pick<Deps, 'db' | 'clock' | 'config' | 'targets'>

const OPERATOR = null

/** Carries out what follows `xconnect webhook`. @returns the exit code: 2 where the words make no command. */
export async function runWebhookCommand(deps: Needs, words: readonly string[], output: Output): Promise<number> {
  const [verb = '', ...rest] = words
  const [id = ''] = rest
  try {
    if (verb === 'create') return await create(deps, rest, output)
    if (verb === 'list' && rest.length === 0) return await list(deps, output)
    if (rest.length !== 1) return explainUsage(output)
    if (verb === 'rotate') return await rotate(deps, id, output)
    if (verb === 'enable' || verb === 'disable') return await setEnabled(deps, id, verb === 'enable', output)
    if (verb === 'delete') {
      const { url } = await deleteWebhookEndpoint(deps, OPERATOR, id)
      output.remark(`${url} is deleted, with all that was still to be sent there.`)
      return 0
    }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    output.remark(
      error.code === 'WEBHOOK_ENDPOINT_NOT_FOUND'
        ? 'There is no such endpoint: see xconnect webhook list.'
        : error.message,
    )
    return 1
  }
  return explainUsage(output)
}

async function create(deps: Needs, words: string[], output: Output): Promise<number> {
  const options = readOptions(words)
  if (options === null) return explainUsage(output)
  const unknown = options.types?.filter((type) => !isEventType(type)) ?? []
  if (unknown.length > 0) {
    output.remark(`There is no event ${unknown.join(', ')}. There are: ${eventTypes.join(', ')}.`)
    return 2
  }
  const types = options.types?.filter(isEventType) ?? null
  const { endpoint, secret } = await createWebhookEndpoint(deps, OPERATOR, { ...options, types })
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

function readOptions(words: string[]): { url: string; types: string[] | null; description: string | null } | null {
  try {
    const { values } = parseArgs({
      args: words,
      options: { url: { type: 'string' }, types: { type: 'string' }, description: { type: 'string' } },
    })
    const { url, types, description } = values
    if (url === undefined) return null
    return { url, types: types?.split(/[\s,]+/) ?? null, description: description ?? null }
  } catch {
    // An option that there is not, or one without a value.
    return null
  }
}

function isEventType(text: string): text is EventType {
  return eventTypes.some((type) => type === text)
}

function explainUsage(output: Output): number {
  output.remark(`Say it so:\n\n${WEBHOOK_USAGE}`)
  return 2
}
