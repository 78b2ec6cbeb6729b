// xconnect invite: the invites with which new users sign in while SIGN_IN is `invite`.
import { createInvite, DEFAULT_INVITE_DAYS, type Invite, listInvites, revokeInvite } from '../auth/invites.ts'
import type { Deps } from '../deps.ts'
import type { Actor } from '../events/operator-acts.ts'
import { commandActor } from './actor.ts'
import type { Output } from './output.ts'
import { parseOptions, reportErrors } from './subcommand.ts'
import { UsageError } from './usage-error.ts'

export const INVITE_USAGE = `  xconnect invite create [--note TEXT] [--expires-in-days DAYS] [--as NAME]
                           create an invite for one new user and print its link; it is not shown again (valid for ${DEFAULT_INVITE_DAYS} days)
  xconnect invite list [--json]
                           list the open invites, newest first
  xconnect invite revoke ID [--as NAME]
                           revoke an invite`

const ERRORS = { INVITE_NOT_FOUND: 'There is no open invite with this id. xconnect invite list shows the ids.' }

type CommandDeps = Pick<Deps, 'db' | 'clock' | 'config'>
type Work = (deps: CommandDeps, output: Output) => Promise<number>

/**
 * Parses the arguments of `xconnect invite`.
 * @returns the function that runs it and returns the exit code.
 * @throws UsageError
 */
export function parseInviteCommand(words: readonly string[]): Work {
  return reportErrors(ERRORS, parseSubcommand(words))
}

function parseSubcommand([verb, ...rest]: readonly string[]): Work {
  if (verb === 'create') {
    const options = parseOptions(rest, {
      note: { type: 'string' },
      'expires-in-days': { type: 'string' },
      as: { type: 'string' },
    })
    const days = options['expires-in-days']
    const input = { note: options.note ?? null, expiresInDays: days === undefined ? null : Number(days) }
    const actor = commandActor(options.as)
    return (deps, output) => create(deps, actor, input, output)
  }
  if (verb === 'list') {
    const { json = false } = parseOptions(rest, { json: { type: 'boolean' } })
    return (deps, output) => list(deps, json, output)
  }
  const [id = '', ...others] = rest
  if (verb !== 'revoke' || id === '') throw new UsageError()
  const actor = commandActor(parseOptions(others, { as: { type: 'string' } }).as)
  return (deps, output) => revoke(deps, actor, id, output)
}

type Input = Parameters<typeof createInvite>[2]

async function create(deps: CommandDeps, actor: Actor, input: Input, output: Output): Promise<number> {
  const { invite, url } = await createInvite(deps, actor, input)
  output.message(`Created ${invite.id}, valid until ${invite.expiresAt.toISOString()}. The link is not shown again:`)
  output.result(url)
  if (deps.config.signIn.mode !== 'invite')
    output.message(`SIGN_IN is ${deps.config.signIn.mode}: new users need an invite only where it is invite.`)
  return 0
}

async function list(deps: CommandDeps, json: boolean, output: Output): Promise<number> {
  const invites = await listInvites(deps)
  if (invites.length === 0) output.message('There are no open invites. Create one with xconnect invite create.')
  for (const invite of invites) output.result(json ? JSON.stringify(invite) : describe(invite))
  return 0
}

async function revoke(deps: CommandDeps, actor: Actor, id: string, output: Output): Promise<number> {
  const { note } = await revokeInvite(deps, actor, id)
  output.message(`The invite${note === null ? '' : ` "${note}"`} is revoked.`)
  return 0
}

function describe({ id, expiresAt, createdBy, note }: Invite): string {
  return [id, `until ${expiresAt.toISOString()}`, createdBy, note ?? ''].join('  ').trimEnd()
}
