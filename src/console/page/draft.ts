/**
 * The tweet being written, kept for this tab: it survives a trip to X, a reload and a cut connection.
 *
 * Each text for an account has an idempotency key of its own, which stays until its outcome is certain. Whoever posts again
 * after a cut connection, even after changing the text and back, asks about the same tweet and posts nothing twice.
 */
export type Draft = {
  text: string
  /** The account that posts it: the first one shown, or the one chosen since; null before that. */
  accountId: string | null
  /** Its name, for when it is not connected any more. */
  username: string | null
  keys: Record<string, string>
}

const STORAGE_KEY = 'xconnect-draft'
const EMPTY: Draft = { text: '', accountId: null, username: null, keys: {} }

export function loadDraft(): Draft {
  try {
    return { ...structuredClone(EMPTY), ...JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? '{}') }
  } catch {
    return structuredClone(EMPTY)
  }
}

export function saveDraft(draft: Draft): void {
  try {
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(draft))
  } catch {
    // Storage may be full or forbidden; the draft then lives as long as the page.
  }
}

/** For when somebody leaves: the next person must not find it. */
export function forgetDraft(): void {
  saveDraft(EMPTY)
}

/** The key of this text for this account. */
export function keyOf(draft: Draft, accountId: string, text: string): string {
  const input = JSON.stringify([accountId, text])
  const key = draft.keys[input] ?? crypto.randomUUID()
  draft.keys[input] = key
  saveDraft(draft)
  return key
}

/** To be called when the outcome is certain: the same text is a new tweet from now on. */
export function forgetKey(draft: Draft, accountId: string, text: string): void {
  delete draft.keys[JSON.stringify([accountId, text])]
  saveDraft(draft)
}
