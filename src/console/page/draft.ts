/**
 * The draft of a tweet, stored for this tab: it survives a redirect to X, a reload and a lost
 * connection.
 *
 * Each text for an account has its own idempotency key, which is kept until the outcome is certain.
 * Posting again after a lost connection, even after the text was changed and changed back, refers
 * to the same tweet and posts nothing twice.
 */
export type Draft = {
  text: string
  /**
   * The account that posts it: the default or the chosen one; null before the accounts are loaded.
   */
  accountId: string | null
  /** The account's name, to show it after it was disconnected. */
  username: string | null
  /** The idempotency keys, by JSON of account and text. */
  keys: Record<string, string>
}

const STORAGE_KEY = 'xconnect-draft'
const EMPTY: Draft = { text: '', accountId: null, username: null, keys: {} }

/** Returns the stored draft, or an empty one. */
export function loadDraft(): Draft {
  try {
    return { ...structuredClone(EMPTY), ...JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? '{}') }
  } catch {
    return structuredClone(EMPTY)
  }
}

/** Stores the draft. */
export function saveDraft(draft: Draft): void {
  try {
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(draft))
  } catch {
    // Storage may be full or forbidden; the draft then lives as long as the page.
  }
}

/** Deletes the draft when the user signs out: the next user must not see it. */
export function forgetDraft(): void {
  saveDraft(EMPTY)
}

/** Returns the idempotency key of this text for this account. */
export function keyOf(draft: Draft, accountId: string, text: string): string {
  const input = JSON.stringify([accountId, text])
  const key = draft.keys[input] ?? crypto.randomUUID()
  draft.keys[input] = key
  saveDraft(draft)
  return key
}

/** Deletes the key once the outcome is certain: the same text is then a new tweet. */
export function forgetKey(draft: Draft, accountId: string, text: string): void {
  delete draft.keys[JSON.stringify([accountId, text])]
  saveDraft(draft)
}
