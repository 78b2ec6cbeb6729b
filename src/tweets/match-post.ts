// Whether a post of a timeline is a tweet of ours, and whether the timeline tells at all. What
// cannot be told keeps a doubt open: a tweet that is declared not to be there is sent again.

import type { TimelinePost } from '../x/timeline.ts'
import { MAX_WEIGHTED_LENGTH, weightedLength } from './text/length.ts'
import { beginsLikeText, isSameText } from './text/match.ts'

const MIN_CUT_WEIGHT = MAX_WEIGHTED_LENGTH - 30
const MIN_CUT_LENGTH = 60

/** A tweet as it was sent. */
export type SentTweet = { text: string; replyToXTweetId: string | null }

/** UNCLEAR: the timeline does not show enough to say whether the post is the tweet. */
export type Likeness = 'SAME' | 'DIFFERENT' | 'UNCLEAR'

/** Judges by the text and by what it replies to. */
export function comparePost(sent: SentTweet, post: TimelinePost): Likeness {
  const place = compareReply(sent, post)
  if (place === 'DIFFERENT') return 'DIFFERENT'
  const text = compareText(sent, post)
  // Before the edit it may have been the very text.
  if (text === 'DIFFERENT') return post.earlierXTweetIds.length > 0 ? 'UNCLEAR' : 'DIFFERENT'
  return place === 'SAME' ? text : 'UNCLEAR'
}

function compareReply(sent: SentTweet, post: TimelinePost): Likeness {
  if (sent.replyToXTweetId !== null) {
    if (post.repliesToXTweetId !== null)
      return isSameId(sent.replyToXTweetId, post.repliesToXTweetId) ? 'SAME' : 'DIFFERENT'
    // The user alone does not tell two replies of one text to one person apart.
    return 'UNCLEAR'
  }
  if (post.repliesToXTweetId !== null) return 'DIFFERENT'
  // A text that begins with a name replies to that user, and to no post.
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
    // X puts its names in front of those that were written. In another order, or with some missing,
    // it is not certain.
    const hasAllInOrder = names.join(' ') === shownNames.slice(shownNames.length - names.length).join(' ')
    if (isSameText(rest, { ...post, text: shownRest })) return hasAllInOrder ? 'SAME' : 'UNCLEAR'
    pairs.push([rest, shownRest])
  }
  const isNearly = pairs.some(([text, shown]) => isNearlySame(text, { ...post, text: shown }))
  return isNearly ? 'UNCLEAR' : 'DIFFERENT'
}

// X may have dropped characters that nobody sees, or put a space there, and may show no more than
// the beginning.
function isNearlySame(text: string, post: TimelinePost): boolean {
  return [INVISIBLE_TO_NOTHING, INVISIBLE_TO_SPACE].some((makeVisible) => {
    const [visible, shown] = [makeVisible(text), { ...post, text: makeVisible(post.text) }]
    return isSameText(visible, shown) || (mayBeCut(visible, post) && beginsLikeText(visible, shown))
  })
}

// X cuts what is longer than an ordinary post; a margin, since it counts in its own way. A short
// post may end with an ellipsis too.
function mayBeCut(text: string, post: TimelinePost): boolean {
  return !post.isWholeText && post.text.length >= MIN_CUT_LENGTH && weightedLength(text) > MIN_CUT_WEIGHT
}

// Controls, format characters and whatever else has no shape of its own (UAX #44,
// Default_Ignorable_Code_Point); not white space.
const INVISIBLE = /(?!\s)[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu
const INVISIBLE_TO_NOTHING = (text: string) => text.replaceAll(INVISIBLE, '')
const INVISIBLE_TO_SPACE = (text: string) => text.replaceAll(INVISIBLE, ' ')

// In front of a reply's text X shows the @names of the people that it answers.
function splitNames(text: string): [names: string[], rest: string] {
  const front = /^(?:\s*@\w{1,50}(?=\s|$))*/.exec(text)?.[0] ?? ''
  const names = front.toLowerCase().split(/\s+/).filter(Boolean)
  return [names, text.slice(front.length)]
}
