// The state of both providers. It is one plain JSON value, so that it can be stored in a file.
import { z } from 'zod'

const githubPersonSchema = z.object({
  id: z.number().int(),
  login: z.string(),
  name: z.string().nullable(),
  email: z.string().nullable(),
  bio: z.string().nullable(),
})

const githubCodeSchema = z.object({
  value: z.string(),
  personId: z.number().int(),
  redirectUri: z.string(),
  redirectUriWasSent: z.boolean(),
  scopes: z.array(z.string()),
  codeChallenge: z.string().nullable(),
  expiresAt: z.number(),
})

const githubOrganizationSchema = z.object({
  login: z.string(),
  /** The state of each membership, by the id of the person. */
  members: z.record(z.string(), z.enum(['active', 'pending'])),
  /** True when the organization restricts OAuth apps and has not approved the app. */
  restrictsApps: z.boolean(),
})

const githubTokenSchema = z.object({ value: z.string(), personId: z.number().int(), scopes: z.array(z.string()) })

const accountSchema = z.object({
  id: z.string(),
  username: z.string(),
  name: z.string(),
  description: z.string(),
  protected: z.boolean(),
  suspended: z.boolean(),
  locked: z.boolean(),
  subscriptionType: z.enum(['None', 'Basic', 'Premium', 'PremiumPlus']),
  verifiedType: z.enum(['none', 'blue', 'business', 'government']),
  createdAt: z.string(),
})

const codeSchema = z.object({
  value: z.string(),
  accountId: z.string(),
  clientId: z.string(),
  redirectUri: z.string(),
  scopes: z.array(z.string()),
  requestedScopes: z.array(z.string()),
  codeChallenge: z.string(),
  expiresAt: z.number(),
})

const issuedTokenSchema = z.object({ value: z.string(), expiresAt: z.number() })

const grantSchema = z.object({
  /** The id of the token family. */
  family: z.string(),
  accountId: z.string(),
  clientId: z.string(),
  scopes: z.array(z.string()),
  requestedScopes: z.array(z.string()),
  grantedAt: z.number(),
  accessTokens: z.array(issuedTokenSchema),
  refreshToken: issuedTokenSchema.nullable(),
  spentRefreshTokens: z.array(z.string()),
  /** The number of refreshes, each with a new refresh token. */
  rotations: z.number().int(),
  replays: z.number().int(),
  ended: z.enum(['superseded', 'revoked-by-app', 'revoked-by-user', 'replay']).nullable(),
})

const mediaSchema = z.object({
  id: z.string(),
  /** The account that may use it. */
  accountId: z.string(),
  mediaKey: z.string(),
  category: z.string(),
  totalBytes: z.number().int(),
  /** Until then it can be attached to a post; later it stays with the posts that have it. */
  expiresAt: z.number(),
  /** Bytes of each received segment, by its index. */
  segments: z.record(z.string(), z.number().int()),
  finalizedAt: z.number().nullable(),
  /** Null: ready at once. Seconds are of the sandbox's clock. */
  processing: z.object({ seconds: z.number(), failure: z.string().nullable() }).nullable(),
  content: z
    .object({
      mediaType: z.string().nullable(),
      width: z.number().nullable(),
      height: z.number().nullable(),
      frames: z.number(),
      durationSeconds: z.number().nullable(),
    })
    .nullable(),
  altText: z.string().nullable(),
})

const subscriptionSchema = z.object({
  id: z.string(),
  eventType: z.string(),
  /** Null: events about all users of the app. */
  userId: z.string().nullable(),
  tag: z.string().nullable(),
  createdAt: z.number(),
})

const tweetSchema = z.object({
  id: z.string(),
  accountId: z.string(),
  sentText: z.string(),
  text: z.string(),
  urls: z.array(z.object({ start: z.number(), end: z.number(), url: z.string(), expandedUrl: z.string() })),
  createdAt: z.number(),
  inReplyToTweetId: z.string().nullable(),
  /** Names that X puts in front of a reply's text. Tweets of an older state file have none. */
  repliesToNames: z.array(z.string()).default([]),
  replySettings: z.string(),
  madeWithAi: z.boolean(),
  poll: z.object({ options: z.array(z.string()), durationMinutes: z.number() }).nullable(),
  mediaIds: z.array(z.string()).default([]),
  /** Ids of the versions before an edit, oldest first. */
  earlierIds: z.array(z.string()).default([]),
  deleted: z.boolean(),
})

export const stateSchema = z.object({
  clockOffsetSeconds: z.number(),
  lastTweetId: z.string(),
  github: z.object({
    people: z.array(githubPersonSchema),
    codes: z.array(githubCodeSchema),
    tokens: z.array(githubTokenSchema),
    /** A state file of before has none. */
    organizations: z.array(githubOrganizationSchema).default([]),
  }),
  accounts: z.array(accountSchema),
  codes: z.array(codeSchema),
  grants: z.array(grantSchema),
  tweets: z.array(tweetSchema),
  media: z.array(mediaSchema).default([]),
  subscriptions: z.array(subscriptionSchema).default([]),
})

export type GithubPerson = z.infer<typeof githubPersonSchema>
export type GithubToken = z.infer<typeof githubTokenSchema>
export type GithubCode = z.infer<typeof githubCodeSchema>
export type XAccount = z.infer<typeof accountSchema>
export type AuthorizationCode = z.infer<typeof codeSchema>
export type Grant = z.infer<typeof grantSchema>
export type Subscription = z.infer<typeof subscriptionSchema>
export type Media = z.infer<typeof mediaSchema>
export type StoredTweet = z.infer<typeof tweetSchema>
export type State = z.infer<typeof stateSchema>
