// GitHub and X for the benchmark: responds at once to everything that the gateway asks. An
// authorization code is the number of the account, and so are its tokens.
import { createServer } from 'node:http'

let posts = 0

createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const form = new URLSearchParams(Buffer.concat(chunks).toString())
    const credential = form.get('code') ?? form.get('refresh_token') ?? request.headers.authorization ?? ''
    const [status, body] = respondTo(request.url?.split('?')[0] ?? '', /\d+$/.exec(credential)?.[0] ?? '1')
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
}).listen(Number(process.env.PORT), '127.0.0.1')

function respondTo(path: string, number: string): [status: number, body: object] {
  switch (path) {
    case '/login/oauth/access_token':
      return [200, { access_token: `access-${number}`, token_type: 'bearer', scope: '' }]
    case '/user':
      return [200, { id: Number(number), login: `user-${number}`, avatar_url: null }]
    case '/2/oauth2/token':
      return [200, { ...tokensOf(number), token_type: 'bearer', expires_in: 7_200 }]
    case '/2/users/me':
      return [200, { data: profileOf(number) }]
    case '/2/tweets':
      posts += 1
      return [201, { data: { id: String(posts), text: 'A tweet' } }]
    default:
      return [404, {}]
  }
}

function tokensOf(number: string): object {
  return {
    access_token: `access-${number}`,
    refresh_token: `refresh-${number}`,
    scope: 'tweet.read tweet.write users.read offline.access',
  }
}

function profileOf(id: string): object {
  return {
    id,
    username: `account_${id}`,
    name: `Account ${id}`,
    profile_image_url: `https://pbs.twimg.com/profile_images/${id}/account_normal.png`,
  }
}
