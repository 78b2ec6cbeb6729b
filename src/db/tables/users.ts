import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import { bigint, check, index, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { id, moment, oneOf } from './columns.ts'

/**
 * The operator of the deployment, as a user: what belongs to no person belongs to this one, so that
 * every row has a user. A migration inserts the row. Nobody signs in as the operator.
 */
export const OPERATOR_ID = '00000000-0000-0000-0000-000000000000'

export const linkVisibilities = ['NOBODY', 'INTEGRATORS'] as const

/**
 * A person. The first sign-in inserts the row, and each later sign-in updates it from GitHub.
 * The key is GitHub's numeric id, because logins and e-mail addresses change hands. Deleted by
 * `deleteViewer`, with every row that refers to it.
 */
export const users = pgTable(
  'users',
  {
    id: id(),
    /** 0 for the operator; no GitHub user has it. */
    githubId: bigint({ mode: 'number' }).notNull().unique('users_github_id'),
    login: text().notNull(),
    /** When another person signed in with this login; null while it is this person's. */
    loginLostAt: moment(),
    name: text(),
    avatarUrl: text(),
    /** The audience of this person's connected accounts. */
    linkVisibility: text({ enum: linkVisibilities }).notNull().default('NOBODY'),
    createdAt: moment().notNull().defaultNow(),
  },
  (table) => [
    // GitHub compares logins without case.
    uniqueIndex('users_login').on(loginKey(table.login)).where(sql`${table.loginLostAt} is null`),
    // Operators page through the users who show their accounts by id.
    index('users_visible').on(table.id).where(sql`${table.linkVisibility} = 'INTEGRATORS'`),
    check('users_link_visibility', oneOf(table.linkVisibility, linkVisibilities)),
  ],
)

/**
 * Returns the form in which logins are compared: A to Z in lower case, whatever the collation of
 * the database. Under a Turkish collation lower('I') is not the "i" of JavaScript. Let PostgreSQL
 * convert both sides, so that no second rule has to agree with this one.
 */
export function loginKey(login: SQLWrapper): SQL<string> {
  return sql<string>`lower(${login} collate "C")`
}
