import { bigint, pgTable, text, uuid } from 'drizzle-orm/pg-core'

/**
 * The user of each GitHub user, by GitHub's numeric id. The first sign-in inserts the row, and
 * later ones lock it, so that sign-ins of one person run one after the other. No foreign key: the
 * user's row may be on another node. Deleted with the user.
 */
export const userIdentities = pgTable('user_identities', {
  githubId: bigint({ mode: 'number' }).primaryKey(),
  userId: uuid().notNull(),
})

/**
 * The user who has signed in last with a login, as GitHub gives an abandoned login to other people.
 * Written by each sign-in, and deleted with the user. `users.login` of an earlier holder stays.
 */
export const userLogins = pgTable('user_logins', {
  /** In the form of `loginKey`. */
  login: text().primaryKey(),
  userId: uuid().notNull(),
})
