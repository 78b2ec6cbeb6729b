// Mercurius on Fastify, with JIT for a document's second request. It protects nothing.
import fastify from 'fastify'
import mercurius from 'mercurius'
import { createContext, resolvers, schema } from './schema.js'

const app = fastify()
app.register(mercurius, { schema, resolvers, jit: 1, context: ({ headers }) => createContext(headers.cookie) })
await app.listen({ port: process.env.PORT, host: '127.0.0.1' })
