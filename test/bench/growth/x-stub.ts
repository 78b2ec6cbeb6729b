// Responds at once in the place of X: a new token pair to every refresh.
import { once } from 'node:events'
import { createServer } from 'node:http'

/** Starts the server, and returns its address. */
export async function startXStub() {
  let issued = 0
  const server = createServer((request, response) => {
    request.resume()
    issued += 1
    response.writeHead(200, { 'content-type': 'application/json' }).end(
      JSON.stringify({
        token_type: 'bearer',
        expires_in: 7_200,
        access_token: `access-${issued}`,
        refresh_token: `refresh-${issued}`,
        scope: 'tweet.read users.read offline.access',
      }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Bug: a listening server has a port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
