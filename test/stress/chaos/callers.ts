// Clients that post, each tweet with an idempotency key, and retry at another process when they get
// no result.
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { z } from 'zod'
import { readOperation } from '../../support/operations.ts'
import type { ChaosAccount } from './accounts.ts'
import type { Slot } from './fleet.ts'
import type { Stage } from './stage.ts'

/** One requested tweet, and the last result that its caller got. */
export type Post = { key: string; text: string; account: ChaosAccount; tries: number; result: PostResult }

export type PostResult =
  /** There is a row. */
  | { kind: 'tweet'; id: string; status: string; error: string | null }
  /** Refused before there was a row. */
  | { kind: 'refused'; error: string }
  /** No response, or an error of the request as a whole. */
  | { kind: 'none'; why: string }

export type Callers = {
  posts: Post[]
  /** Stops the retries; resolves when all open requests have ended. */
  stop(): Promise<void>
}

const DOCUMENT = readOperation('post-tweet')
const ANSWER_LIMIT_MILLISECONDS = 30_000
const MAX_TRIES = 12
const MAX_PAUSE_MILLISECONDS = 1_000
// A few accounts get half of the calls, so that processes compete for them.
const HOT_SHARE = 0.5
const HOT_ACCOUNTS = 0.1

const payloadSchema = z.object({
  data: z
    .object({
      postTweet: z.object({
        tweet: z.object({ id: z.string(), status: z.string() }).nullable(),
        userErrors: z.array(z.object({ code: z.string(), retryable: z.boolean() })),
      }),
    })
    .nullish(),
  errors: z.array(z.object({ extensions: z.object({ code: z.string() }).partial().optional() })).optional(),
})

/**
 * Starts `count` callers that post one tweet after another, until they are stopped or have
 * requested `limit` tweets.
 * @param options.hotShare the share of calls that goes to the few hot accounts.
 */
export function startCallers(
  stage: Stage,
  accounts: readonly ChaosAccount[],
  count: number,
  {
    limit = Infinity,
    slots = stage.fleet.slots,
    hotShare = HOT_SHARE,
  }: { limit?: number; slots?: readonly Slot[]; hotShare?: number } = {},
): Callers {
  const agent = new Agent({ headersTimeout: ANSWER_LIMIT_MILLISECONDS, bodyTimeout: ANSWER_LIMIT_MILLISECONDS })
  const posts: Post[] = []
  let stopped = false
  const call = async () => {
    while (!stopped && posts.length < limit) {
      const post = newPost(pickAccount(stage, accounts, hotShare), posts.length)
      posts.push(post)
      await postUntilResponse(stage, slots, agent, post, () => stopped)
    }
  }
  const all = Promise.all(Array.from({ length: count }, call)).finally(() => agent.close())
  return {
    posts,
    async stop() {
      stopped = limit === Infinity
      await all
    },
  }
}

/** Posts once with each account, at random processes, all at the same moment. */
export async function postWithEach(
  stage: Stage,
  accounts: readonly ChaosAccount[],
  purpose: string,
  slots: readonly Slot[] = stage.fleet.slots,
): Promise<Post[]> {
  const agent = new Agent({ headersTimeout: ANSWER_LIMIT_MILLISECONDS, bodyTimeout: ANSWER_LIMIT_MILLISECONDS })
  try {
    return await Promise.all(
      accounts.map(async (account, index) => {
        const post = newPost(account, `${purpose}-${index}`)
        const slot = slots[index % slots.length]
        await tryOnce(slot?.url ?? '', agent, post)
        return post
      }),
    )
  } finally {
    await agent.close()
  }
}

function newPost(account: ChaosAccount, name: string | number): Post {
  const key = `post-${name}-${crypto.randomUUID()}`
  return {
    key,
    text: `Tweet ${key} of ${account.username}`,
    account,
    tries: 0,
    result: { kind: 'none', why: 'never asked' },
  }
}

function pickAccount(stage: Stage, accounts: readonly ChaosAccount[], hotShare: number): ChaosAccount {
  const hot = accounts.slice(0, Math.max(1, Math.round(accounts.length * HOT_ACCOUNTS)))
  return stage.random.pick(stage.random.next() < hotShare ? hot : accounts)
}

async function postUntilResponse(
  stage: Stage,
  slots: readonly Slot[],
  agent: Agent,
  post: Post,
  isOver: () => boolean,
): Promise<void> {
  for (let pause = 50; post.tries < MAX_TRIES && !isOver(); pause = Math.min(pause * 2, MAX_PAUSE_MILLISECONDS)) {
    const again = await tryOnce(stage.random.pick(slots).url, agent, post)
    if (!again) return
    await sleep(pause * stage.random.between(0.5, 1.5))
  }
}

/**
 * Returns whether the caller should retry. PENDING is a result: the gateway has stored the tweet
 * and will finish it.
 */
async function tryOnce(url: string, agent: Agent, post: Post): Promise<boolean> {
  post.tries += 1
  try {
    const response = await request(`${url}/graphql`, {
      method: 'POST',
      dispatcher: agent,
      headers: { 'content-type': 'application/json', cookie: post.account.cookie, 'sec-fetch-site': 'same-origin' },
      body: JSON.stringify({
        query: DOCUMENT,
        variables: { input: { text: post.text, accountId: post.account.accountId, idempotencyKey: post.key } },
      }),
    })
    const { data, errors } = payloadSchema.parse(await response.body.json())
    if (!data) {
      post.result = { kind: 'none', why: errors?.[0]?.extensions?.code ?? `status ${response.statusCode}` }
      return true
    }
    const { tweet, userErrors } = data.postTweet
    const error = userErrors[0] ?? null
    post.result =
      tweet === null
        ? { kind: 'refused', error: error?.code ?? '' }
        : { kind: 'tweet', id: tweet.id, status: tweet.status, error: error?.code ?? null }
    return error?.retryable === true
  } catch (error) {
    // Refused, cut off or timed out: the process may be dead, and the tweet may be posted.
    post.result = { kind: 'none', why: error instanceof Error && 'code' in error ? String(error.code) : String(error) }
    return true
  }
}
