// xconnect token: the operator's API tokens. They can be created only from a shell.
import { type ApiToken, apiTokenStatus, createApiToken, listApiTokens, revokeApiToken } from '../auth/api-token.ts'
import { OPERATOR_ID, operatorScopes } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { Output } from './output.ts'
import { parseOptions, reportErrors } from './subcommand.ts'
import { UsageError } from './usage-error.ts'

export const TOKEN_USAGE = `  xconnect token create --name NAME --scopes ${operatorScopes.join(',')} [--expires-in-days DAYS]
                           create an API token of the operator and print it; it is not shown again
  xconnect token list      list the operator's API tokens, newest first
  xconnect token revoke ID
                           revoke a token at once`

const OPERATOR = { userId: OPERATOR_ID }

const ERRORS = { API_TOKEN_NOT_FOUND: 'There is no token with this id. xconnect token list shows the ids.' }

type CommandDeps = Pick<Deps, 'db' | 'clock'>
type CreateOptions = { name: string; scopes: string[]; expiresInDays: number | null }

/**
 * Parses the arguments of `xconnect token`.
 * @returns the function that runs it and returns the exit code.
 * @throws UsageError
 */
export function parseTokenCommand(words: readonly string[]): (deps: CommandDeps, output: Output) => Promise<number> {
  return reportErrors(ERRORS, parseSubcommand(words))
}

function parseSubcommand([verb, ...rest]: readonly string[]): (deps: CommandDeps, output: Output) => Promise<number> {
  if (verb === 'create') {
    const options = parseCreateOptions(rest)
    return (deps, output) => create(deps, options, output)
  }
  if (verb === 'list' && rest.length === 0) return list
  const [id] = rest
  if (verb === 'revoke' && id !== undefined && rest.length === 1) return (deps, output) => revoke(deps, id, output)
  throw new UsageError()
}

async function create(deps: CommandDeps, options: CreateOptions, output: Output): Promise<number> {
  const { secret, apiToken } = await createApiToken(deps, OPERATOR, options)
  output.message(`Created ${apiToken.id}, valid until ${day(apiToken.expiresAt)}. The token is not shown again:`)
  output.result(secret)
  return 0
}

async function list(deps: CommandDeps, output: Output): Promise<number> {
  const tokens = await listApiTokens(deps, OPERATOR)
  if (tokens.length === 0) output.message('There are no tokens. Create one with xconnect token create.')
  for (const token of tokens) output.result(describe(deps, token))
  return 0
}

async function revoke(deps: CommandDeps, tokenId: string, output: Output): Promise<number> {
  const { name } = await revokeApiToken(deps, OPERATOR, tokenId)
  output.message(`"${name}" is revoked.`)
  return 0
}

function describe(deps: Pick<Deps, 'clock'>, token: ApiToken): string {
  return [
    token.id,
    apiTokenStatus(deps, token).padEnd(7),
    `${token.prefix}…${token.lastFour}`,
    `until ${day(token.expiresAt)}`,
    token.lastUsedAt === null ? 'never used     ' : `used ${day(token.lastUsedAt)}`,
    token.scopes.join(','),
    token.name,
  ].join('  ')
}

function parseCreateOptions(words: string[]): CreateOptions {
  const {
    name,
    scopes,
    'expires-in-days': days,
  } = parseOptions(words, {
    name: { type: 'string' },
    scopes: { type: 'string' },
    'expires-in-days': { type: 'string' },
  })
  if (name === undefined || scopes === undefined) throw new UsageError()
  return { name, scopes: scopes.split(/[\s,]+/), expiresInDays: days === undefined ? null : Number(days) }
}

function day(moment: Date): string {
  return moment.toISOString().slice(0, 10)
}
