import type { Vocabulary } from './x/vocabulary.ts'

// The lifetime that X documents.
const ACCESS_TOKEN_SECONDS = 7200

/** The effect of a refresh token that is used a second time; X does not document it. */
export type ReplayMode = 'kill-family' | 'invalid-request'

/** What tests change in the behaviour of the providers. It is not part of the state file. */
export type Switches = {
  replay: ReplayMode
  /** Whether a rotation also kills the access token before it; X's documents do not say, see `grants.ts`. */
  rotationKillsAccessToken: boolean
  /** Whether an authorization leaves the account's earlier grant alive, against X's rule of one for each account and app. */
  keepsEarlierGrants: boolean
  /** Whether revoking a token of an ended grant ends the account's live one; X's documents do not say, see `grants.ts`. */
  revocationEndsAccount: boolean
  /** How long the access tokens live that are issued from now on. */
  accessTokenSeconds: number
  /** Whether the same text is refused a second time. */
  refusesDuplicates: boolean
  /** Whether X calls a tweet "Tweet" or "Post", in field names and in refusals. */
  vocabulary: Vocabulary
  /** Whether a text that is cut comes with its whole in `note_tweet`. */
  showsNotes: boolean
  /** Whether a reply names what it replies to, by `referenced_tweets`. */
  showsReferences: boolean
  /** GitHub's address where a proxy in front gives it another one than the sandbox's own. */
  githubUrl: string | null
  /** Scopes that the next consents of an account are cut down to, by account id. */
  scopeLimits: Map<string, string[]>
  /** Whether GitHub has suspended the app. */
  githubAppSuspended: boolean
  githubStanding: GithubStanding
}

/** What keeps GitHub from letting a person sign in, by the person's id. */
export type GithubStanding = { unverifiedEmails: Set<number>; suspended: Set<number> }

export function createSwitches(replay: ReplayMode): Switches {
  return {
    replay,
    rotationKillsAccessToken: false,
    keepsEarlierGrants: false,
    revocationEndsAccount: false,
    accessTokenSeconds: ACCESS_TOKEN_SECONDS,
    refusesDuplicates: true,
    vocabulary: 'tweet',
    showsNotes: true,
    showsReferences: true,
    githubUrl: null,
    scopeLimits: new Map(),
    githubAppSuspended: false,
    githubStanding: { unverifiedEmails: new Set(), suspended: new Set() },
  }
}
