// xconnect account: the X accounts of the users.
import { type AdminAccount, disconnectUserAccount, findAccount, listAccounts } from '../administration/accounts.ts'
import { AppError } from '../errors.ts'
import { toPrintable } from '../printable.ts'
import { commandActor } from './actor.ts'
import {
  type AdminWork,
  confirm,
  pageOptions,
  parsePage,
  printObject,
  printPage,
  resolveUser,
  toIdPage,
} from './administration.ts'
import { parseOptions, reportErrors } from './subcommand.ts'
import { UsageError } from './usage-error.ts'

export const ACCOUNT_USAGE = `  xconnect account list [--user USER] [--x-username NAME] [--limit N] [--after ID] [--json]
                           list the X accounts, or those of a user or of a username at X
  xconnect account show ID [--json]
                           show an X account, without its tokens
  xconnect account disconnect ID [--as NAME] [--yes]
                           delete the tokens of an X account and have its grant revoked at X`

const ERRORS = {
  ACCOUNT_NOT_FOUND: 'There is no account with this id. xconnect account list shows the ids.',
  USER_NOT_FOUND: 'There is no such user. xconnect user list shows the ids.',
}

/**
 * Parses the arguments of `xconnect account`.
 * @returns the function that runs it and returns the exit code.
 * @throws UsageError
 */
export function parseAccountCommand(words: readonly string[]): AdminWork {
  return reportErrors(ERRORS, parseSubcommand(words))
}

function parseSubcommand([verb, ...rest]: readonly string[]): AdminWork {
  if (verb === 'list') return list(rest)
  const [id = '', ...others] = rest
  if (id === '' || id.startsWith('-')) throw new UsageError()
  if (verb === 'show') {
    const { json = false } = parseOptions(others, { json: { type: 'boolean' } })
    return async (deps, output) => {
      const account = await findAccount(deps, id)
      if (account === null) throw new AppError('ACCOUNT_NOT_FOUND')
      return printObject(output, json, account)
    }
  }
  if (verb !== 'disconnect') throw new UsageError()
  const { as, yes = false } = parseOptions(others, { as: { type: 'string' }, yes: { type: 'boolean' } })
  const actor = commandActor(as)
  return async (deps, output) => {
    const account = await findAccount(deps, id)
    if (account === null) throw new AppError('ACCOUNT_NOT_FOUND')
    const username = toPrintable(account.username)
    if (!(await confirm(output, yes, `Disconnect @${username} (${id})?`))) return 1
    await disconnectUserAccount(deps, actor, id)
    output.message(`@${username} is disconnected. A gateway revokes the grant at X.`)
    return 0
  }
}

function list(words: readonly string[]): AdminWork {
  const options = parseOptions(words, { user: { type: 'string' }, 'x-username': { type: 'string' }, ...pageOptions })
  const page = parsePage(options)
  return async (deps, output) => {
    const userId = options.user === undefined ? null : await resolveUser(deps, options.user)
    const filter = { userId, xUsername: options['x-username'] ?? null }
    return printPage(output, page, await listAccounts(deps, filter, toIdPage(page)), describe)
  }
}

function describe({ id, userId, status, statusReason, username }: AdminAccount): string {
  const state = statusReason === null ? status : `${status} (${statusReason})`
  return [id, `user ${userId}`, state.padEnd(12), `@${toPrintable(username)}`].join('  ')
}
