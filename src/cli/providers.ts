// xconnect providers: accepts a GitHub Enterprise Server at a new address, and another X app.
import type { Config } from '../config/config.ts'
import type { Db } from '../db/client.ts'
import { changeXApp, renameGithub } from '../db/providers.ts'
import type { Output } from './output.ts'
import { UsageError } from './usage-error.ts'

export const PROVIDERS_USAGE = `  xconnect providers rename OLD NEW
                           accept that the GitHub Enterprise Server at OLD has moved to NEW, the value of GITHUB_URL, with
                           the same users
  xconnect providers change-x-app OLD NEW
                           accept that the X app with the client id OLD was replaced by NEW, the value of X_CLIENT_ID; all
                           accounts have to be connected again`

/**
 * Parses the arguments of `xconnect providers`.
 * @returns the function that runs it and returns the exit code.
 * @throws UsageError
 */
export function parseProvidersCommand(
  words: readonly string[],
): (db: Db, config: Config, output: Output) => Promise<number> {
  const [verb, from, to, ...rest] = words
  if (from === undefined || to === undefined || rest.length > 0) throw new UsageError()
  if (verb === 'change-x-app')
    return async (db, config, { message }) => {
      await changeXApp(db, config, { from, to })
      message('The X app is changed. Start the gateway. Accounts need reauthorization when their tokens expire.')
      return 0
    }
  if (verb !== 'rename') throw new UsageError()
  for (const url of [from, to])
    if (!URL.canParse(url))
      throw new UsageError('Both addresses must be complete URLs, such as https://github.example.com.')
  return async (db, config, { message }) => {
    await renameGithub(db, config, { from, to })
    message(`The users of ${from} are now the users of ${to}. Start the gateway.`)
    return 0
  }
}
