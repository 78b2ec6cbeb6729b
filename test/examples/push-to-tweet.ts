// Posts a tweet for every push to a branch: it receives GitHub's webhook and calls the gateway's API.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'

const secret = read('WEBHOOK_SECRET', 'the secret of the webhook at GitHub')
const token = read('GATEWAY_TOKEN', 'an API token with the scope tweets:write')
// ACCOUNT_ID is needed if the token's user has several active X accounts.
const { GATEWAY_URL = 'http://127.0.0.1:3000', BRANCH = 'main', PORT = '8080', ACCOUNT_ID: accountId } = process.env

type Repository = { id: number; name: string }
type Push = { ref: string; after: string; deleted: boolean; repository: Repository; commits: { message: string }[] }
type Refusal = { message: string; retryable?: boolean }
type Posted = { tweet: { status: string; url: string } | null; userErrors: Refusal[] }

createServer(async (request, response) => {
  // GitHub shows a delivery with any other status than 2xx as failed, and can deliver it again.
  const [status, text] = await respond(request).catch((error): [number, string] => [503, `Try again: ${error.message}`])
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
}).listen(Number(PORT), () => console.log(`Listening on port ${PORT}`))

function read(name: string, meaning: string): string {
  const value = process.env[name]
  if (value) return value
  console.error(`Set ${name}: ${meaning}.`)
  process.exit(1)
}

async function respond(request: IncomingMessage): Promise<[status: number, text: string]> {
  const body = await readBody(request)
  if (body === null) return [413, 'That is more than GitHub sends.']
  if (!isSigned(body, String(request.headers['x-hub-signature-256']))) return [401, 'The signature is wrong.']
  if (request.headers['x-github-event'] !== 'push') return [200, 'Only pushes are tweeted.']
  if (request.headers['content-type'] !== 'application/json')
    return [415, 'Send application/json: a setting of the webhook.']
  const push: Push = JSON.parse(body.toString())
  if (push.ref !== `refs/heads/${BRANCH}` || push.deleted || push.commits.length === 0)
    return [200, 'Nothing to tweet.']
  return postTweet(writeLine(push), `push:${push.repository.id}:${push.after}`)
}

async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > 25 * 1024 * 1024) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function isSigned(body: Buffer, signature: string): boolean {
  const expected = Buffer.from(`sha256=${createHmac('sha256', secret).update(body).digest('hex')}`)
  const given = Buffer.from(signature)
  return given.length === expected.length && timingSafeEqual(given, expected)
}

/** Returns the first lines of the commits. The commit's id distinguishes two pushes with the same text. A link would cost more at X. */
function writeLine({ repository, after, commits }: Push): string {
  const subjects = commits.map(({ message }) => message.split('\n', 1)[0]?.trim()).join(' · ')
  // A name in a commit must not become a mention at X.
  return shorten(
    `${repository.name} ${after.slice(0, 7)}: ${subjects}`.replaceAll('@', '').normalize('NFC').toWellFormed(),
  )
}

function shorten(text: string): string {
  if (weigh(text) <= 280) return text
  const cut = Array.from(text).slice(0, 280).join('')
  const characters = Array.from(new Intl.Segmenter().segment(cut), ({ segment }) => segment)
  while (weigh(`${characters.join('')}…`) > 280) characters.pop()
  return `${characters.join('').trimEnd()}…`
}

/** Returns an upper bound of X's count: 2 for characters beyond the Western alphabets, 23 for a possible link, such as "readme.md". */
function weigh(text: string): number {
  const count = (pattern: RegExp) => text.match(pattern)?.length ?? 0
  return Array.from(text).length + count(/[\u{1100}-\u{10ffff}]/gu) + 23 * count(/\S\.\p{L}/gu)
}

async function postTweet(text: string, idempotencyKey: string): Promise<[status: number, text: string]> {
  const query = `mutation PostTweet($input: PostTweetInput!) {
    postTweet(input: $input) { tweet { status url } userErrors { message retryable } }
  }`
  const response = await fetch(`${GATEWAY_URL}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables: { input: { text, accountId, idempotencyKey } } }),
  })
  const { data, errors } = (await response.json()) as { data?: { postTweet: Posted | null }; errors?: Refusal[] }
  const tweet = data?.postTweet?.tweet
  if (tweet?.status === 'POSTED') return [200, tweet.url]
  const refusal = errors?.[0] ?? data?.postTweet?.userErrors[0]
  // The gateway finds out later whether a tweet in doubt was posted, and returns that for the same key.
  const isFinal = refusal?.retryable === false && tweet?.status !== 'UNKNOWN'
  return [isFinal ? 422 : 503, refusal?.message ?? 'The gateway is not done yet.']
}
