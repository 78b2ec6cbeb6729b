// The request of the embedded database: the same accounts by cookie, from a gateway with PGlite in its
// process, beside the limit on PostgreSQL.

import { cookieOf, openBrowser } from '../support/browser.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import type { BenchOptions } from './arguments.ts'
import { measureRequests, requestScenarios, type ServerRounds } from './requests.ts'
import { startGateway } from './server-process.ts'
import { connect, gatewayEnvironment, type Stage, signIn } from './stage.ts'

/** Measures `connectedAccounts` on the embedded database. */
export async function measureEmbedded(stage: Stage, options: BenchOptions): Promise<ServerRounds> {
  await using directory = await makeTemporaryDirectory('bench-data', 'disk')
  const environment = { ...gatewayEnvironment(null, stage.stub.url), DATA_DIR: directory.path }
  await using gateway = await startGateway(environment)
  const person = openBrowser(gateway.url)
  await signIn(person, 1)
  for (const number of [101, 102]) await connect(person, number)
  const cookieHeaders = { ...cookieOf(person), 'sec-fetch-site': 'same-origin' }
  const { headers, ...scenario } = requestScenarios.connectedAccounts
  const rounds = await measureRequests(
    { ...stage, gateway },
    {
      ...scenario,
      hasPeers: false,
      // The two servers have databases of their own, with users and accounts of their own.
      isComparable: false,
      headers: (_stage, name) => (name === 'gateway' ? cookieHeaders : headers(stage)),
    },
    options,
  )
  await person.close()
  return rounds
}
