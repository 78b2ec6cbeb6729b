import type { Vocabulary } from './x/vocabulary.ts'

// The lifetime that X documents.
const ACCESS_TOKEN_SECONDS = 7200

// docs.x.com, "Media upload": at most 8 MB.
const MAX_SEGMENT_BYTES = 8 * 1024 * 1024

/** The effect of a second use of a refresh token, which X does not document. */
export type ReplayMode = 'end-grant' | 'invalid-request'

/** The behaviour of the providers that tests can change. It is not part of the state file. */
export type Switches = {
  replay: ReplayMode
  /**
   * True when a refresh ends the access token before it. X does not document it, see x/grants.ts.
   */
  refreshEndsAccessToken: boolean
  /**
   * True when an authorization does not end the account's earlier grant, contrary to X's rule of
   * one for each account and app.
   */
  keepsEarlierGrants: boolean
  /**
   * True when revoking a token of an ended grant ends the account's live one. X does not document
   * it, see x/grants.ts.
   */
  revocationEndsAccount: boolean
  /** The lifetime of newly issued access tokens. */
  accessTokenSeconds: number
  /** True when X refuses a text that the account has posted before. */
  refusesDuplicates: boolean
  /** How long X processes a video or a GIF, and its reason for refusing the next ones. */
  mediaProcessing: { seconds: number; failure: string | null }
  /** A larger segment of an upload gets an empty 413. */
  maxSegmentBytes: number
  /**
   * True when a second finalize of an upload gets the response of the first. X does not document it.
   */
  finalizesAgain: boolean
  /** True when X refuses the Activity API to the app. */
  refusesActivity: boolean
  /** The shape of a new subscription in `data`: X has responded with all three. */
  subscriptionShape: 'object' | 'array' | 'subscription'
  /** Seconds of the system's clock between the empty lines on an activity stream. */
  keepAliveSeconds: number
  /** X's word for a tweet in field names and refusals. */
  vocabulary: Vocabulary
  /** True when a truncated text comes with the whole text in `note_tweet`. */
  showsNotes: boolean
  /** True when a reply names the tweet that it replies to in `referenced_tweets`. */
  showsReferences: boolean
  /** GitHub's URL behind a proxy; null for the sandbox's own. */
  githubUrl: string | null
  /** The scopes to which the next consents of an account are limited, by account id. */
  scopeLimits: Map<string, string[]>
  /** True when GitHub has suspended the app. */
  githubAppSuspended: boolean
  githubStanding: GithubStanding
}

/** The ids of people whom GitHub does not sign in, by reason. */
export type GithubStanding = { unverifiedEmails: Set<number>; suspended: Set<number> }

/** Returns the switches in their default positions. */
export function createSwitches(replay: ReplayMode): Switches {
  return {
    replay,
    refreshEndsAccessToken: false,
    keepsEarlierGrants: false,
    revocationEndsAccount: false,
    accessTokenSeconds: ACCESS_TOKEN_SECONDS,
    refusesDuplicates: true,
    mediaProcessing: { seconds: 2, failure: null },
    maxSegmentBytes: MAX_SEGMENT_BYTES,
    finalizesAgain: false,
    refusesActivity: false,
    subscriptionShape: 'object',
    keepAliveSeconds: 15,
    vocabulary: 'tweet',
    showsNotes: true,
    showsReferences: true,
    githubUrl: null,
    scopeLimits: new Map(),
    githubAppSuspended: false,
    githubStanding: { unverifiedEmails: new Set(), suspended: new Set() },
  }
}
