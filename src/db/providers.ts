// Checks that a database is used with one GitHub and one X: the ids of one provider belong to other
// people at another.
import { eq, isNull } from 'drizzle-orm'
import type { Config } from '../config/config.ts'
import { StartupError } from '../process/startup-error.ts'
import type { Db } from './client.ts'
import { deployment } from './tables.ts'

/** The database belongs to other providers than the configured ones. */
export class OtherProvidersError extends StartupError {
  constructor(known: string, configured: string) {
    const rename = findRename(known, configured)
    const cure =
      rename === null
        ? 'They are not the same people: start with an empty database (another DATABASE_URL or DATA_DIR).'
        : `If that GitHub Enterprise Server has only been given another address, so that its people and their ids are the same, run: xconnect providers rename ${rename.from} ${rename.to}. If not, start with an empty database (another DATABASE_URL or DATA_DIR).`
    super(
      `The database holds people and accounts of ${known}, and the configuration names ${configured}. ${cure} Nothing was changed.`,
      78,
    )
    this.name = 'OtherProvidersError'
  }
}

/** The tokens in the database belong to another X app than the configured one. */
export class OtherXAppError extends StartupError {
  constructor(known: string, configured: string) {
    super(
      `The database holds tokens that X issued to the app with the client id "${known}", and X_CLIENT_ID is "${configured}". X refuses to refresh the tokens of another app. Set X_CLIENT_ID to that of the database, or use another database. If you have replaced the app for good, run: xconnect providers change-x-app ${known} ${configured}. All users then have to connect their accounts again. Nothing was changed.`,
      78,
    )
    this.name = 'OtherXAppError'
  }
}

const SANDBOX = 'the sandbox'
const GITHUB_COM = 'https://github.com'

// Other origins of the same service.
const SAME_ORIGIN: ReadonlyMap<string, string> = new Map([
  ['https://www.github.com', GITHUB_COM],
  ['https://www.x.com', 'https://x.com'],
  ['https://mobile.x.com', 'https://x.com'],
  ['https://twitter.com', 'https://x.com'],
  ['https://www.twitter.com', 'https://x.com'],
  ['https://mobile.twitter.com', 'https://x.com'],
])

/**
 * Returns the origin of a provider's URL, the same for every spelling and every name of the
 * service.
 */
export function providerOrigin(url: string): string {
  const origin = URL.parse(url)?.origin ?? url
  return SAME_ORIGIN.get(origin) ?? origin
}

/**
 * Checks that the database is used with the providers of its first start. A session of the sandbox,
 * where any visitor can sign in as any user, would otherwise be valid for the real user with the
 * same id. Checks also that the X app is that of the stored tokens.
 * @throws OtherProvidersError, OtherXAppError
 */
export async function checkProviders(db: Db, config: Config): Promise<void> {
  const configured = describeProviders(config)
  await db.insert(deployment).values({ providers: configured }).onConflictDoNothing()
  const known = await findKnown(db)
  if (known === null || !areSame(known, configured)) throw new OtherProvidersError(known ?? 'no provider', configured)
  if (config.sandbox === null) await checkXApp(db, config.x.clientId)
}

async function checkXApp(db: Db, configured: string): Promise<void> {
  await db.update(deployment).set({ xClientId: configured }).where(isNull(deployment.xClientId))
  const [row] = await db.select({ known: deployment.xClientId }).from(deployment)
  if (row?.known != null && row.known !== configured) throw new OtherXAppError(row.known, configured)
}

/**
 * Records that the X app was replaced. The stored tokens stay, and X refuses their next refresh.
 * @param change both client ids, which the operator repeats as a confirmation.
 * @throws StartupError when the database or the configuration says otherwise; nothing was changed
 *   then.
 */
export async function changeXApp(db: Db, config: Config, change: { from: string; to: string }): Promise<void> {
  const [changed] =
    config.sandbox === null && change.to === config.x.clientId
      ? await db
          .update(deployment)
          .set({ xClientId: change.to })
          .where(eq(deployment.xClientId, change.from))
          .returning({ xClientId: deployment.xClientId })
      : []
  if (changed === undefined)
    throw new StartupError(
      'The X app can only be changed from the client id in the database to X_CLIENT_ID. The start of the gateway names both. Nothing was changed.',
      1,
    )
}

/**
 * Records that the GitHub Enterprise Server of the stored users has another address.
 * @param rename both addresses, which the operator repeats as a confirmation.
 * @throws StartupError when the database or the configuration says otherwise; nothing was changed
 *   then.
 */
export async function renameGithub(db: Db, config: Config, rename: { from: string; to: string }): Promise<void> {
  const configured = describeProviders(config)
  const known = await findKnown(db)
  if (known === null)
    throw new StartupError('The database has no users yet: start the gateway. Nothing was changed.', 1)
  const found = findRename(known, configured)
  if (
    found === null ||
    providerOrigin(rename.from) !== providerOrigin(found.from) ||
    providerOrigin(rename.to) !== providerOrigin(found.to)
  )
    throw new StartupError(
      `The database holds people and accounts of ${known}, and the configuration names ${configured}. Only a GitHub Enterprise Server can be renamed, from the address in the database to GITHUB_URL, and with X as it is. Nothing was changed.`,
      1,
    )
  await db.update(deployment).set({ providers: configured }).where(eq(deployment.providers, known))
}

function describeProviders({ sandbox, github, x }: Config): string {
  return sandbox === null ? `${providerOrigin(github.url)} and ${providerOrigin(x.url)}` : SANDBOX
}

async function findKnown(db: Db): Promise<string | null> {
  const [row] = await db.select().from(deployment)
  return row?.providers ?? null
}

// Earlier releases stored the addresses as they were written.
function parse(providers: string): { github: string; x: string } | null {
  const [github, x] = providers.split(' and ')
  return github === undefined || x === undefined ? null : { github: providerOrigin(github), x: providerOrigin(x) }
}

function areSame(one: string, other: string): boolean {
  const [a, b] = [parse(one), parse(other)]
  return a === null || b === null ? one === other : a.github === b.github && a.x === b.x
}

// github.com cannot have been renamed: its ids and those of another server belong to different
// people.
function findRename(known: string, configured: string): { from: string; to: string } | null {
  const [before, now] = [parse(known), parse(configured)]
  if (before === null || now === null || before.x !== now.x || before.github === now.github) return null
  if ([before.github, now.github].includes(GITHUB_COM)) return null
  return { from: before.github, to: now.github }
}
