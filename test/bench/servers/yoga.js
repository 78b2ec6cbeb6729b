// GraphQL Yoga as it comes, with the caches of documents that it has by default.
import { createServer } from 'node:http'
import { createSchema, createYoga } from 'graphql-yoga'
import { createContext, resolvers, schema } from './schema.js'

const yoga = createYoga({
  schema: createSchema({ typeDefs: schema, resolvers }),
  context: ({ request }) => createContext(request.headers.get('cookie')),
  graphiql: false,
})
createServer(yoga).listen(process.env.PORT, '127.0.0.1')
