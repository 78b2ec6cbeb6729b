// xconnect user: the users of the gateway.
import { listAccounts } from '../administration/accounts.ts'
import { type AdminUser, deleteUser, findUser, listUsers } from '../administration/users.ts'
import { AppError } from '../errors.ts'
import { toPrintable } from '../printable.ts'
import { blockUser, signOutUser, unblockUser } from '../users/blocking.ts'
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

export const USER_USAGE = `  xconnect user list [--login LOGIN] [--x-username NAME] [--limit N] [--after ID] [--json]
                           list the users, or those of a GitHub login or a username at X
  xconnect user show USER [--json]
                           show a user with their X accounts; USER is an id, a GitHub login, or @ and a username at X
  xconnect user block USER [--as NAME] [--yes]
                           end all access of a user, and let nothing act for them
  xconnect user unblock USER [--as NAME]
                           undo that
  xconnect user sign-out USER [--as NAME] [--yes]
                           end all sessions of a user; API tokens stay
  xconnect user delete USER [--as NAME] [--yes]
                           delete a user with everything that is stored about them`

const ERRORS = { USER_NOT_FOUND: 'There is no such user. xconnect user list shows the ids.' }

const ACT_OPTIONS = { as: { type: 'string' }, yes: { type: 'boolean' } } as const

/**
 * Parses the arguments of `xconnect user`.
 * @returns the function that runs it and returns the exit code.
 * @throws UsageError
 */
export function parseUserCommand(words: readonly string[]): AdminWork {
  return reportErrors(ERRORS, parseSubcommand(words))
}

function parseSubcommand([verb, ...rest]: readonly string[]): AdminWork {
  if (verb === 'list') return list(rest)
  const [named = '', ...others] = rest
  if (named === '' || named.startsWith('-')) throw new UsageError()
  if (verb === 'show') return show(named, others)
  const { as, yes = false } = parseOptions(others, ACT_OPTIONS)
  const actor = commandActor(as)
  if (verb === 'block')
    return act(named, yes, 'Block', async (deps, { id }) => {
      await blockUser(deps, actor, id)
      return 'is blocked. xconnect user unblock undoes that.'
    })
  if (verb === 'unblock')
    return act(named, true, '', async (deps, { id }) => {
      await unblockUser(deps, actor, id)
      return 'is not blocked.'
    })
  if (verb === 'sign-out')
    return act(named, yes, 'End all sessions of', async (deps, { id }) => {
      const { endedSessions } = await signOutUser(deps, actor, id)
      return `is signed out of ${endedSessions} ${endedSessions === 1 ? 'session' : 'sessions'}.`
    })
  if (verb === 'delete')
    return act(named, yes, 'Delete, with everything that is stored about them,', async (deps, { id }) => {
      const deletion = await deleteUser(deps, actor, id)
      return `has no access any more. A gateway deletes the rows: deletion ${deletion.id}.`
    })
  throw new UsageError()
}

function list(words: readonly string[]): AdminWork {
  const options = parseOptions(words, { login: { type: 'string' }, 'x-username': { type: 'string' }, ...pageOptions })
  const page = parsePage(options)
  const filter = { githubLogin: options.login ?? null, xUsername: options['x-username'] ?? null }
  return async (deps, output) => printPage(output, page, await listUsers(deps, filter, toIdPage(page)), describe)
}

function show(named: string, words: readonly string[]): AdminWork {
  const { json = false } = parseOptions(words, { json: { type: 'boolean' } })
  return async (deps, output) => {
    const id = await resolveUser(deps, named)
    const user = await findUser(deps, id)
    if (user === null) throw new AppError('USER_NOT_FOUND')
    const page = { after: null, before: null, limit: 100, backward: false }
    const accounts = await listAccounts(deps, { userId: id, xUsername: null }, page)
    if (json) return printObject(output, true, { ...user, accounts })
    printObject(output, false, user)
    for (const account of accounts)
      output.result(
        `account              ${account.id}  ${account.status.padEnd(12)}  @${toPrintable(account.username)}`,
      )
    return 0
  }
}

type Act = (deps: Parameters<AdminWork>[0], user: { id: string }) => Promise<string>

function act(named: string, yes: boolean, question: string, work: Act): AdminWork {
  return async (deps, output) => {
    const id = await resolveUser(deps, named)
    const user = await findUser(deps, id)
    if (user === null) throw new AppError('USER_NOT_FOUND')
    const login = toPrintable(user.login)
    if (!(await confirm(output, yes, `${question} ${login} (${id})?`))) return 1
    output.message(`${login} ${await work(deps, user)}`)
    return 0
  }
}

function describe({ id, login, githubId, createdAt, blockedAt, deletionId }: AdminUser): string {
  const state = deletionId !== null ? 'DELETING' : blockedAt !== null ? 'BLOCKED' : 'ACTIVE'
  return [
    id,
    state.padEnd(8),
    `since ${createdAt.toISOString().slice(0, 10)}`,
    String(githubId).padEnd(10),
    toPrintable(login),
  ].join('  ')
}
