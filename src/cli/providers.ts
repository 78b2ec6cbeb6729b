// xconnect providers: a GitHub Enterprise Server that has been given another address.
import type { Config } from '../config/config.ts'
import type { Db } from '../db/client.ts'
import { renameGithub } from '../db/providers.ts'
import type { Output } from './output.ts'
import { UsageError } from './usage-error.ts'

export const PROVIDERS_USAGE = `  xconnect providers rename OLD NEW
                           accept that the GitHub Enterprise Server at OLD is now at NEW, which GITHUB_URL names, with the
                           same people`

/** Parses what follows `xconnect providers`. @returns what carries it out, and returns the exit code. @throws UsageError */
export function readProvidersCommand(
  words: readonly string[],
): (db: Db, config: Config, output: Output) => Promise<number> {
  const [verb, from, to, ...rest] = words
  if (verb !== 'rename' || from === undefined || to === undefined || rest.length > 0) throw new UsageError()
  for (const url of [from, to])
    if (!URL.canParse(url)) throw new UsageError('Give both addresses whole, as https://github.example.com.')
  return async (db, config, { remark }) => {
    await renameGithub(db, config, { from, to })
    remark(`The people of ${from} are those of ${to} from now on. Start the gateway.`)
    return 0
  }
}
