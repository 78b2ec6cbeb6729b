// xconnect token: the operator's API tokens, which no web page can make.
import { parseArgs } from 'node:util'
import { type ApiToken, apiTokenStatus, createApiToken, listApiTokens, revokeApiToken } from '../auth/api-token.ts'
import { operatorScopes } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { Output } from './output.ts'

export const TOKEN_USAGE = `  xconnect token create --name NAME --scopes ${operatorScopes.join(',')} [--expires-in-days DAYS]
                           make an operator's API token, and print it: the only time it is shown
  xconnect token list      list them, newest first
  xconnect token revoke ID end one at once`

const OPERATOR = { userId: null }

/** Carries out what follows `xconnect token`. @returns the exit code: 2 where the words make no command. */
export async function runTokenCommand(
  deps: Pick<Deps, 'db' | 'clock'>,
  words: readonly string[],
  output: Output,
): Promise<number> {
  const [verb, ...rest] = words
  try {
    if (verb === 'create') return await create(deps, rest, output)
    if (verb === 'list' && rest.length === 0) return await list(deps, output)
    if (verb === 'revoke' && rest.length === 1) return await revoke(deps, rest[0] ?? '', output)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    output.remark(
      error.code === 'API_TOKEN_NOT_FOUND' ? 'There is no such token: see xconnect token list.' : error.message,
    )
    return 1
  }
  return explainUsage(output)
}

async function create(deps: Pick<Deps, 'db' | 'clock'>, words: string[], output: Output): Promise<number> {
  const options = readOptions(words)
  if (options === null) return explainUsage(output)
  const { secret, apiToken } = await createApiToken(deps, OPERATOR, options)
  output.remark(`Made ${apiToken.id}, good until ${day(apiToken.expiresAt)}. This is the only time it is shown:`)
  output.answer(secret)
  return 0
}

async function list(deps: Pick<Deps, 'db' | 'clock'>, output: Output): Promise<number> {
  const tokens = await listApiTokens(deps, OPERATOR)
  if (tokens.length === 0) output.remark('There is none yet: xconnect token create makes one.')
  for (const token of tokens) output.answer(describe(deps, token))
  return 0
}

async function revoke(deps: Pick<Deps, 'db' | 'clock'>, tokenId: string, output: Output): Promise<number> {
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

function readOptions(words: string[]): { name: string; scopes: string[]; expiresInDays: number | null } | null {
  try {
    const { values } = parseArgs({
      args: words,
      options: {
        name: { type: 'string' },
        scopes: { type: 'string' },
        'expires-in-days': { type: 'string' },
      },
    })
    const { name, scopes, 'expires-in-days': days } = values
    if (name === undefined || scopes === undefined) return null
    return { name, scopes: scopes.split(/[\s,]+/), expiresInDays: days === undefined ? null : Number(days) }
  } catch {
    // An option that there is not, or one without a value.
    return null
  }
}

function explainUsage(output: Output): number {
  output.remark(`Say it so:\n\n${TOKEN_USAGE}`)
  return 2
}

function day(moment: Date): string {
  return moment.toISOString().slice(0, 10)
}
