/** What was filled in for a new API token, kept for this tab while the person signs in again. */
export type TokenDraft = [name: string, value: string][]

const STORAGE_KEY = 'xconnect-token-draft'

/** Keeps what the form holds, for `restoreTokenDraft`. */
export function saveTokenDraft(form: HTMLFormElement): void {
  const draft: TokenDraft = [...new FormData(form)].map(([name, value]) => [name, String(value)])
  try {
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(draft))
  } catch {
    // Storage may be full or forbidden; the form is then empty afterwards.
  }
}

/** Fills the form in again, once. False when there is nothing to fill in. */
export function restoreTokenDraft(form: HTMLFormElement): boolean {
  const draft = take()
  if (draft === null) return false
  const values = (name: string) => draft.filter(([field]) => field === name).map(([, value]) => value)
  for (const field of form.elements) {
    if (field instanceof HTMLInputElement && field.type === 'checkbox')
      field.checked = values(field.name).includes(field.value)
    else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement)
      field.value = values(field.name)[0] ?? field.value
  }
  return true
}

/** For when somebody leaves: the next person must not find it. */
export function forgetTokenDraft(): void {
  take()
}

function take(): TokenDraft | null {
  try {
    const text = sessionStorage.getItem(STORAGE_KEY)
    sessionStorage.removeItem(STORAGE_KEY)
    return JSON.parse(text ?? 'null')
  } catch {
    return null
  }
}
