// The GraphQL of the peers: the user of the session by one statement, the accounts by a second.
import pg from 'pg'
import { sessionKey, statements, toAccount } from './statements.js'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 })

/** The type definitions. */
export const schema = `
  scalar DateTime
  type ConnectedAccount {
    id: ID!
    provider: String!
    username: String!
    displayName: String
    avatarUrl: String
    scopes: [String!]!
    status: String!
    accessTokenExpiresAt: DateTime
    connectedAt: DateTime!
  }
  type Query { connectedAccounts: [ConnectedAccount!]! }
`

/** The resolvers. */
export const resolvers = {
  Query: {
    connectedAccounts: async (_, _arguments, { user }) => {
      const values = [user.id]
      const { rows } = await pool.query({ name: 'accountsOfUser', text: statements.accountsOfUser, values })
      return rows.map(toAccount)
    },
  },
}

/** Returns the context of a request with this Cookie header. */
export async function createContext(cookie) {
  const values = sessionKey(cookie)
  const { rows } = await pool.query({ name: 'userBySession', text: statements.userBySession, values })
  return { user: rows[0] }
}
