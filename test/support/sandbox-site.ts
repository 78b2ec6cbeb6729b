import { randomBytes } from 'node:crypto'
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts'
import { createTestDatabase } from './database.ts'

const xClient = { id: 'x-app', secret: 'x-secret' }
const githubClient = { id: 'github-app', secret: 'github-secret' }

/** A database and a sandbox of this process, for gateways in their own processes. */
export type SandboxSite = {
  sandbox: Sandbox
  connectionString: string
  /** The environment variables of a gateway, without its port. */
  environment: Record<string, string>
}

/**
 * Creates a database on PostgreSQL and a sandbox, which `resources` removes.
 * @param publicUrl the address of the gateways, to which the sandbox redirects.
 */
export async function createSandboxSite(resources: AsyncDisposableStack, publicUrl: string): Promise<SandboxSite> {
  const database = resources.use(await createTestDatabase('postgres'))
  const sandbox = await startSandbox({
    hostname: 'localhost',
    xClient: { ...xClient, redirectUris: [`${publicUrl}/auth/x/callback`] },
    githubClient: { ...githubClient, redirectUris: [`${publicUrl}/auth/github/callback`] },
  })
  resources.defer(() => sandbox.close())
  const environment = {
    ...database.environment,
    SANDBOX: 'off',
    PUBLIC_URL: publicUrl,
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    GITHUB_CLIENT_ID: githubClient.id,
    GITHUB_CLIENT_SECRET: githubClient.secret,
    X_CLIENT_ID: xClient.id,
    X_CLIENT_SECRET: xClient.secret,
    GITHUB_URL: sandbox.url,
    GITHUB_API_URL: sandbox.url,
    X_URL: sandbox.url,
    X_API_URL: sandbox.url,
  }
  return { sandbox, connectionString: database.environment.DATABASE_URL ?? '', environment }
}
