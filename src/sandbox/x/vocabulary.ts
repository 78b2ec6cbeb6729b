/**
 * X's word for a tweet. OpenAPI 2.167 (August 2026) renamed it to "Post", not in all responses at
 * once.
 */
export type Vocabulary = 'tweet' | 'post'

// OpenAPI 2.166 Tweet and 2.167 Post.
const NEWER_NAMES = new Map([
  ['edit_history_tweet_ids', 'edit_history_post_ids'],
  ['referenced_tweets', 'referenced_posts'],
  ['note_tweet', 'note_post'],
])
// The fields of an error. User text is in other fields.
const SENTENCES = new Set(['title', 'detail', 'message'])

/** Renames the fields of a JSON response and rewords its errors. */
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
