// xconnect sandbox: the simulated GitHub and X without a gateway, for tests of other programs.
import { once } from 'node:events'
import { explainListenError } from '../process/startup-error.ts'
import type { Output } from './output.ts'
import { parseOptions } from './subcommand.ts'
import { UsageError } from './usage-error.ts'

export const SANDBOX_USAGE = `  xconnect sandbox [--port PORT] [--x-callback URL] [--github-callback URL] [--state FILE]
                           run the simulated GitHub and X alone, until it is interrupted; print their URL. The port is
                           3001, or a free one for 0. Either callback may be given several times`

const OPTIONS = {
  port: { type: 'string' },
  'x-callback': { type: 'string', multiple: true },
  'github-callback': { type: 'string', multiple: true },
  state: { type: 'string' },
} as const

// The credentials of the gateway with SANDBOX=on, so that one client works with both.
const X_APP = { id: 'sandbox-x-app', secret: 'sandbox-x-secret' }
const GITHUB_APP = { id: 'sandbox-github-app', secret: 'sandbox-github-secret' }

/**
 * Parses the arguments of `xconnect sandbox`.
 * @returns the function that runs it until SIGTERM or SIGINT and returns the exit code.
 * @throws UsageError
 */
export function parseSandboxCommand(words: readonly string[]): (output: Output) => Promise<number> {
  const given = parseOptions(words, OPTIONS)
  const port = Number(given.port ?? 3001)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new UsageError('--port must be from 0 to 65535.')
  const xCallbacks = given['x-callback'] ?? ['http://127.0.0.1:3000/auth/x/callback']
  const githubCallbacks = given['github-callback'] ?? ['http://127.0.0.1:3000/auth/github/callback']
  for (const url of [...xCallbacks, ...githubCallbacks])
    if (!URL.canParse(url)) throw new UsageError(`The callback must be a complete URL, and "${url}" is not one.`)
  return async ({ result, message }) => {
    const { startSandbox } = await import('../sandbox/server.ts')
    const sandbox = await startSandbox({
      ...{ port, hostname: 'localhost', control: true, stateFile: given.state ?? null },
      xClient: { ...X_APP, redirectUris: xCallbacks },
      githubClient: { ...GITHUB_APP, redirectUris: githubCallbacks },
    }).catch((error) => {
      throw explainListenError(error, port, 'Choose another by --port.')
    })
    const stopped = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
    message(`X: client id ${X_APP.id}, secret ${X_APP.secret}, callbacks ${xCallbacks.join(' ')}`)
    message(`GitHub: client id ${GITHUB_APP.id}, secret ${GITHUB_APP.secret}, callbacks ${githubCallbacks.join(' ')}`)
    message('Anyone on this machine can sign in as anyone, and control it by POST /_control.')
    result(sandbox.url)
    await stopped
    await sandbox.close()
    return 0
  }
}
