// Compares a post of a timeline with a tweet that was sent. What the timeline does not show keeps
// the tweet UNKNOWN: one that is declared not posted would be sent again.
import type { TimelinePost } from '../x/timeline.ts'
import { MAX_WEIGHTED_LENGTH, weightedLength } from './text/length.ts'
import { beginsLikeText, isSameText } from './text/match.ts'

const MIN_CUT_WEIGHT = MAX_WEIGHTED_LENGTH - 30
const MIN_CUT_LENGTH = 60

/** A tweet as it was sent. */
export type SentTweet = { text: string; replyToXTweetId: string | null }

/** UNCLEAR when the timeline does not show enough to decide. */
export type Likeness = 'SAME' | 'DIFFERENT' | 'UNCLEAR'

/** Compares by the text and by the post that is replied to. */
export function comparePost(sent: SentTweet, post: TimelinePost): Likeness {
  const reply = compareReply(sent, post)
  if (reply === 'DIFFERENT') return 'DIFFERENT'
  const text = compareText(sent, post)
  // The post was edited, and may have had this text before.
  if (text === 'DIFFERENT') return post.earlierXTweetIds.length > 0 ? 'UNCLEAR' : 'DIFFERENT'
  return reply === 'SAME' ? text : 'UNCLEAR'
}

function compareReply(sent: SentTweet, post: TimelinePost): Likeness {
  if (sent.replyToXTweetId !== null) {
    if (post.repliesToXTweetId !== null)
      return isSameId(sent.replyToXTweetId, post.repliesToXTweetId) ? 'SAME' : 'DIFFERENT'
    // Two replies with one text to one user cannot be distinguished by the user.
    return 'UNCLEAR'
  }
  if (post.repliesToXTweetId !== null) return 'DIFFERENT'
  // A text that begins with a username replies to that user, and to no post.
  return post.repliesToUserId !== null && !/^\s*@/.test(sent.text) ? 'DIFFERENT' : 'SAME'
}

function isSameId(left: string, right: string): boolean {
  return BigInt(left) === BigInt(right)
}

function compareText(sent: SentTweet, post: TimelinePost): Likeness {
  if (isSameText(sent.text, post)) return 'SAME'
  const pairs: [text: string, shown: string][] = [[sent.text, post.text]]
  if (sent.replyToXTweetId !== null) {
    const [names, rest] = splitNames(sent.text)
    const [shownNames, shownRest] = splitNames(post.text)
    // X puts more usernames in front of those that were written. With another order, or with some
    // missing, the match is uncertain.
    const hasAllInOrder = names.join(' ') === shownNames.slice(shownNames.length - names.length).join(' ')
    if (isSameText(rest, { ...post, text: shownRest })) return hasAllInOrder ? 'SAME' : 'UNCLEAR'
    pairs.push([rest, shownRest])
  }
  const isNearly = pairs.some(([text, shown]) => isNearlySame(text, { ...post, text: shown }))
  return isNearly ? 'UNCLEAR' : 'DIFFERENT'
}

// X may have removed invisible characters or replaced them by spaces, and may show only the
// beginning of a long text.
function isNearlySame(text: string, post: TimelinePost): boolean {
  return [INVISIBLE_TO_NOTHING, INVISIBLE_TO_SPACE].some((makeVisible) => {
    const [visible, shown] = [makeVisible(text), { ...post, text: makeVisible(post.text) }]
    return isSameText(visible, shown) || (mayBeCut(visible, post) && beginsLikeText(visible, shown))
  })
}

// X truncates texts that are longer than an ordinary post. With a margin, because it counts
// differently. A short post may end with an ellipsis too.
function mayBeCut(text: string, post: TimelinePost): boolean {
  return !post.isWholeText && post.text.length >= MIN_CUT_LENGTH && weightedLength(text) > MIN_CUT_WEIGHT
}

// Control and format characters, and others without a glyph (UAX #44,
// Default_Ignorable_Code_Point), except white space.
const INVISIBLE = /(?!\s)[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu
const INVISIBLE_TO_NOTHING = (text: string) => text.replaceAll(INVISIBLE, '')
const INVISIBLE_TO_SPACE = (text: string) => text.replaceAll(INVISIBLE, ' ')

// X shows the @usernames of the people replied to in front of a reply's text.
function splitNames(text: string): [names: string[], rest: string] {
  const front = /^(?:\s*@\w{1,50}(?=\s|$))*/.exec(text)?.[0] ?? ''
  const names = front.toLowerCase().split(/\s+/).filter(Boolean)
  return [names, text.slice(front.length)]
}
