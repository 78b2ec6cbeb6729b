/** What X calls a tweet: its API went over to "Post" with OpenAPI 2.167 (August 2026), not everywhere at once. */
export type Vocabulary = 'tweet' | 'post'

// OpenAPI 2.166 Tweet and 2.167 Post.
const NEWER_NAMES = new Map([
  ['edit_history_tweet_ids', 'edit_history_post_ids'],
  ['referenced_tweets', 'referenced_posts'],
  ['note_tweet', 'note_post'],
])
// Of a refusal. What people wrote stands under other names.
const SENTENCES = new Set(['title', 'detail', 'message'])

/** The answer in these words: names of fields, and sentences of refusals. */
export async function inVocabulary(vocabulary: Vocabulary, response: Response): Promise<Response> {
  if (vocabulary === 'tweet') return response
  const { status, headers } = response
  return new Response(JSON.stringify(rename(await response.json())), { status, headers })
}

function rename(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rename)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]): [string, unknown] => [
      NEWER_NAMES.get(name) ?? name,
      SENTENCES.has(name) && typeof inner === 'string'
        ? inner.replaceAll(/\b([Tt])weet/g, (_, letter) => (letter === 'T' ? 'Post' : 'post'))
        : rename(inner),
    ]),
  )
}
