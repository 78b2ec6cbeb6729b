import { randomUUID } from 'node:crypto'
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { readParameters } from '../parameters.ts'
import { markStream } from '../provider-response.ts'
import { sameSecret } from '../secrets.ts'
import type { Subscription } from '../state.ts'
import type { World } from '../world.ts'
import { openStream } from './activity-streams.ts'
import { readBearer, respondWithData } from './endpoint.ts'
import { type Problem, problemResponse, refuseBody } from './problem-format.ts'
import { API_PROBLEMS, OAUTH_PROBLEMS } from './problems.ts'

// For self-serve apps.
const MAX_SUBSCRIPTIONS = 1500
const MAX_STREAMS = 2

const subscriptionSchema = z.strictObject({
  event_type: z.enum(['oauth.revoke', 'profile.update.bio', 'post.create']),
  filter: z.strictObject({
    user_id: z
      .string()
      .regex(/^[0-9]{1,19}$/)
      .optional(),
  }),
  tag: z.string().max(200).optional(),
  webhook_id: z.string().optional(),
})

/** Adds the app's own token and the Activity API to the routes. */
export function addXActivity(app: Hono, world: World): void {
  // docs.x.com, "OAuth 2.0 Bearer Token": the token of the app itself, without a user.
  app.post('/oauth2/token', async (c) => {
    const parameters = await readParameters(c.req.raw)
    const { apiKey, apiSecret } = world.xApp
    const expected = `Basic ${Buffer.from(`${apiKey}:${apiSecret}`).toString('base64')}`
    if (!sameSecret(c.req.header('authorization') ?? '', expected)) {
      return problemResponse(OAUTH_PROBLEMS['unauthorized-client'])
    }
    if (parameters.get('grant_type') !== 'client_credentials') return problemResponse(API_PROBLEMS['invalid-request'])
    return respondWithData({ token_type: 'bearer', access_token: world.xApp.bearerToken })
  })

  app.get('/2/activity/subscriptions', (c) => {
    const refusal = refuseCaller(c, world)
    if (refusal !== null) return problemResponse(refusal)
    const { subscriptions } = world.state
    return respondWithData({
      ...(subscriptions.length === 0 ? {} : { data: subscriptions.map(showSubscription) }),
      meta: { total_subscriptions: subscriptions.length },
    })
  })

  app.post('/2/activity/subscriptions', async (c) => {
    const refusal = refuseCaller(c, world)
    if (refusal !== null) return problemResponse(refusal)
    const body = subscriptionSchema.safeParse(await c.req.json().catch(() => null))
    if (!body.success) return problemResponse(refuseBody(body.error))
    const { event_type: eventType, filter, tag = null } = body.data
    const { subscriptions } = world.state
    const isDuplicate = subscriptions.some(
      (known) => known.eventType === eventType && known.userId === (filter.user_id ?? null),
    )
    if (isDuplicate) return problemResponse(API_PROBLEMS['duplicate-subscription'])
    if (subscriptions.length >= MAX_SUBSCRIPTIONS) return problemResponse(API_PROBLEMS['too-many-subscriptions'])
    const subscription = {
      id: randomUUID(),
      eventType,
      userId: filter.user_id ?? null,
      tag,
      createdAt: world.clock.now(),
    }
    subscriptions.push(subscription)
    const shown = showSubscription(subscription)
    const shapes = { object: shown, array: [shown], subscription: { subscription: shown } }
    return respondWithData({ data: shapes[world.switches.subscriptionShape] }, 201)
  })

  app.get('/2/activity/stream', (c) => {
    const refusal = refuseCaller(c, world)
    if (refusal !== null) return problemResponse(refusal)
    if (world.activityStreams.size >= MAX_STREAMS) return problemResponse(API_PROBLEMS['too-many-streams'])
    return markStream(new Response(openStream(world), { headers: { 'content-type': 'application/json' } }))
  })
}

function refuseCaller(c: Context, world: World): Problem | null {
  if (!sameSecret(readBearer(c) ?? '', world.xApp.bearerToken)) return API_PROBLEMS.unauthorized
  return world.switches.refusesActivity ? API_PROBLEMS['client-not-enrolled'] : null
}

function showSubscription({ id, eventType, userId, tag, createdAt }: Subscription): Record<string, unknown> {
  return {
    subscription_id: id,
    event_type: eventType,
    filter: userId === null ? {} : { user_id: userId },
    ...(tag === null ? {} : { tag }),
    created_at: new Date(createdAt).toISOString(),
  }
}
