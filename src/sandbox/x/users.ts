import type { Hono } from 'hono'
import type { XAccount } from '../state.ts'
import type { World } from '../world.ts'
import { READ_SCOPES, respondWithData, xEndpoint } from './endpoint.ts'
import { invalidRequest, problemResponse } from './problem-format.ts'
import { tweetsOf } from './tweet-store.ts'

// OpenAPI 2.166 and 2.167, UserFieldsParameter.
const USER_FIELDS = new Set(
  `affiliation confirmed_email connection_status created_at description entities id is_identity_verified location
  most_recent_tweet_id name parody pinned_tweet_id profile_banner_url profile_image_url protected public_metrics
  receives_your_dm subscribes_to_you subscription subscription_type url username verified verified_followers_count
  verified_type withheld`.split(/\s+/),
)

/**
 * `GET /2/users/me` (docs.x.com, "Get my User"); id, name and username always, other fields on
 * request.
 */
export function addXUsers(app: Hono, world: World): void {
  app.get(
    '/2/users/me',
    xEndpoint(world, { limit: 'users-me', scopes: READ_SCOPES }, (c, caller) => {
      const asked = c.req.query('user.fields')?.split(',') ?? []
      const unknown = asked.find((field) => !USER_FIELDS.has(field))
      if (unknown !== undefined) {
        const message = `The \`user.fields\` query parameter value [${unknown}] is not one of [${[...USER_FIELDS].join(',')}]`
        return problemResponse(invalidRequest(message, { 'user.fields': [unknown] }))
      }
      const known = Object.entries(optionalFields(world, caller)).filter(([name]) => asked.includes(name))
      const { id, name, username } = caller
      return respondWithData({ data: { id, name, username, ...Object.fromEntries(known) } })
    }),
  )
}

function optionalFields(world: World, caller: XAccount): Record<string, unknown> {
  const tweets = tweetsOf(world, caller.id).length
  return {
    created_at: caller.createdAt,
    description: caller.description,
    profile_image_url: `${world.url}/assets/avatars/x/${caller.id}.svg`,
    protected: caller.protected,
    verified: caller.verifiedType !== 'none',
    verified_type: caller.verifiedType,
    subscription_type: caller.subscriptionType,
    public_metrics: {
      followers_count: 128,
      following_count: 97,
      // OpenAPI 2.167 requires post_count, 2.166 tweet_count.
      post_count: tweets,
      tweet_count: tweets,
      listed_count: 3,
      like_count: 0,
      media_count: 0,
    },
  }
}
