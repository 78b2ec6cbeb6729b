// xconnect token: the operator's API tokens, which no web page can make.
import { parseArgs } from 'node:util'
import { type ApiToken, apiTokenStatus, createApiToken, listApiTokens, revokeApiToken } from '../auth/api-token.ts'
import { operatorScopes } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { Output } from './output.ts'
import { UsageError } from './usage-error.ts'

export const TOKEN_USAGE = `  xconnect token create --name NAME --scopes ${operatorScopes.join(',')} [--expires-in-days DAYS]
                           make an operator's API token, and print it: the only time it is shown
  xconnect token list      list them, newest first
  xconnect token revoke ID end one at once`

const OPERATOR = { userId: null }

type Needs = Pick<Deps, 'db' | 'clock'>
type CreateOptions = { name: string; scopes: string[]; expiresInDays: number | null }

/** Understands what follows `xconnect token`. @returns what carries it out, and returns the exit code. @throws UsageError */
export function readTokenCommand(words: readonly string[]): (deps: Needs, output: Output) => Promise<number> {
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
  if (verb === 'revoke' && id !== undefined && rest.length === 1) return (deps, output) => revoke(deps, id, output)
  throw new UsageError()
}

async function explainRefusal(output: Output, work: () => Promise<number>): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    output.remark(
      error.code === 'API_TOKEN_NOT_FOUND' ? 'There is no such token: see xconnect token list.' : error.message,
    )
    return 1
  }
}

async function create(deps: Needs, options: CreateOptions, output: Output): Promise<number> {
  const { secret, apiToken } = await createApiToken(deps, OPERATOR, options)
  output.remark(`Made ${apiToken.id}, good until ${day(apiToken.expiresAt)}. This is the only time it is shown:`)
  output.answer(secret)
  return 0
}

async function list(deps: Needs, output: Output): Promise<number> {
  const tokens = await listApiTokens(deps, OPERATOR)
  if (tokens.length === 0) output.remark('There is none yet: xconnect token create makes one.')
  for (const token of tokens) output.answer(describe(deps, token))
  return 0
}

async function revoke(deps: Needs, tokenId: string, output: Output): Promise<number> {
  const { name } = await revokeApiToken(deps, OPERATOR, tokenId)
  output.remark(`"${name}" is revoked.`)
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

function readOptions(words: string[]): CreateOptions {
  const { name, scopes, 'expires-in-days': days } = parseOptions(words)
  if (name === undefined || scopes === undefined) throw new UsageError()
  return { name, scopes: scopes.split(/[\s,]+/), expiresInDays: days === undefined ? null : Number(days) }
}

function parseOptions(words: string[]) {
  try {
    return parseArgs({
      args: words,
      options: { name: { type: 'string' }, scopes: { type: 'string' }, 'expires-in-days': { type: 'string' } },
    }).values
  } catch {
    // An option that there is not, or one without a value.
    throw new UsageError()
  }
}

function day(moment: Date): string {
  return moment.toISOString().slice(0, 10)
}
