// Apollo Server as its documentation starts it, in production.
import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import { createContext, resolvers, schema } from './schema.js'

await startStandaloneServer(new ApolloServer({ typeDefs: schema, resolvers }), {
  listen: { port: Number(process.env.PORT), host: '127.0.0.1' },
  context: ({ req }) => createContext(req.headers.cookie),
})
