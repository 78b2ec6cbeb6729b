import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import { bigint, check, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { id, moment, oneOf } from './columns.ts'

export const linkVisibilities = ['NOBODY', 'INTEGRATORS'] as const

/** A person. Made at the first sign-in, keyed on GitHub's numeric id: logins and addresses change hands. */
export const users = pgTable(
  'users',
  {
    id: id(),
    githubId: bigint({ mode: 'number' }).notNull().unique('users_github_id'),
    login: text().notNull(),
    /** Since when the login is known to be another person's, who has signed in with it; null while it is this one's. */
    loginLostAt: moment(),
    name: text(),
    avatarUrl: text(),
    /** Who may see which accounts this person has linked. */
    linkVisibility: text({ enum: linkVisibilities }).notNull().default('NOBODY'),
    createdAt: moment().notNull().defaultNow(),
  },
  (table) => [
    // GitHub compares logins without case.
    uniqueIndex('users_login').on(loginKey(table.login)).where(sql`${table.loginLostAt} is null`),
    check('users_link_visibility', oneOf(table.linkVisibility, linkVisibilities)),
  ],
)

/**
 * The form in which two logins of GitHub are compared: A to Z in lower case, whatever the database's collation. Under a Turkish one
 * lower('I') is a letter that JavaScript's "i" is not. Let PostgreSQL lower both sides, so that no second rule has to agree with this.
 */
export function loginKey(login: SQLWrapper): SQL<string> {
  return sql<string>`lower(${login} collate "C")`
}
