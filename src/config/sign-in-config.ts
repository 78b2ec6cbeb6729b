// Who may sign in.
import { parseList } from './variables.ts'

const SIGN_IN_MODES = ['open', 'closed', 'invite'] as const

/** The sign-in part of the configuration. */
export type SignInConfig = Readonly<{
  /**
   * Who becomes a new user: everybody, nobody, or who has an invite of the operator. Existing users
   * keep signing in.
   */
  mode: (typeof SIGN_IN_MODES)[number]
  /**
   * Null when everybody is allowed. Otherwise whoever is on any of its lists, also existing users.
   */
  allowed: Readonly<{
    /** GitHub logins in lower case. */
    logins: readonly string[]
    /** GitHub's numeric ids. */
    githubIds: readonly number[]
    /** Logins of GitHub organizations, whose active members are allowed. */
    organizations: readonly string[]
  }> | null
}>

// GitHub asks for the membership in one organization at a time, while a person waits.
const MAX_ORGANIZATIONS = 10
// Logins of managed users have an underscore.
const LOGIN = /^[a-z0-9](?:[a-z0-9_-]{0,98}[a-z0-9])?$/i
// 15 digits are always a safe integer.
const ID = /^id:(\d{1,15})$/i

const NEW_USERS = {
  open: 'everybody with a GitHub account',
  closed: 'existing users alone',
  invite: 'existing users, and new ones with an invite',
} as const satisfies Record<SignInConfig['mode'], string>

/** Says who may sign in, for the start and the doctor: a list that came empty admits everybody. */
export function describeSignIn({ mode, allowed }: SignInConfig): string {
  if (allowed === null) return NEW_USERS[mode]
  const names = [
    ...(allowed.logins.length + allowed.githubIds.length > 0 ? ['ALLOWED_GITHUB_LOGINS'] : []),
    ...(allowed.organizations.length > 0 ? ['ALLOWED_GITHUB_ORGS'] : []),
  ]
  return `${NEW_USERS[mode]}, of those in ${names.join(' or ')}`
}

/** Parses who may sign in. @param get reads a variable; null when it is not set. */
export function parseSignIn(get: (name: string) => string | null, problems: string[]): SignInConfig {
  const choice = get('SIGN_IN') ?? 'open'
  const mode = SIGN_IN_MODES.find((known) => known === choice)
  if (mode === undefined) problems.push(`SIGN_IN must be one of ${SIGN_IN_MODES.join(', ')}.`)
  const people = parseList(get('ALLOWED_GITHUB_LOGINS'))
  const organizations = parseList(get('ALLOWED_GITHUB_ORGS'))
  for (const entry of people.filter((one) => !LOGIN.test(one) && !ID.test(one)))
    problems.push(`ALLOWED_GITHUB_LOGINS: "${entry}" is neither a login of GitHub nor a numeric id such as id:583231.`)
  for (const entry of organizations.filter((one) => !LOGIN.test(one)))
    problems.push(`ALLOWED_GITHUB_ORGS: "${entry}" is not the login of an organization at GitHub.`)
  if (organizations.length > MAX_ORGANIZATIONS)
    problems.push(`ALLOWED_GITHUB_ORGS may name ${MAX_ORGANIZATIONS} organizations at most.`)
  const isLimited = people.length > 0 || organizations.length > 0
  return {
    mode: mode ?? 'closed',
    allowed: isLimited
      ? {
          logins: people.filter((one) => !ID.test(one)).map((one) => one.toLowerCase()),
          githubIds: people.flatMap((one) => ID.exec(one)?.[1] ?? []).map(Number),
          organizations,
        }
      : null,
  }
}
