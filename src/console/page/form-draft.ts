/**
 * The fields of the form whose submission required a new sign-in, stored for this tab meanwhile.
 */
export type FormDraft = { form: string; fields: [name: string, value: string][] }

const STORAGE_KEY = 'xconnect-form-draft'

/** Stores the fields of the form, for `restoreFormDraft`. */
export function saveFormDraft(form: HTMLFormElement): void {
  const fields = [...new FormData(form)].map(([name, value]): [string, string] => [name, String(value)])
  const draft: FormDraft = { form: form.id, fields }
  try {
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(draft))
  } catch {
    // Storage may be full or forbidden; the form is then empty afterwards.
  }
}

/** Restores the fields of the form, once. Returns false when none are stored. */
export function restoreFormDraft(form: HTMLFormElement): boolean {
  const draft = load()
  if (draft?.form !== form.id) return false
  forgetFormDraft()
  const values = (name: string) => draft.fields.filter(([field]) => field === name).map(([, value]) => value)
  for (const field of form.elements) {
    if (field instanceof HTMLInputElement && field.type === 'checkbox')
      field.checked = values(field.name).includes(field.value)
    else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement)
      field.value = values(field.name)[0] ?? field.value
  }
  return true
}

/** Deletes the fields when the user signs out: the next user must not see them. */
export function forgetFormDraft(): void {
  try {
    sessionStorage.removeItem(STORAGE_KEY)
  } catch {
    // Without access to storage, nothing was stored.
  }
}

function load(): FormDraft | null {
  try {
    return JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? 'null')
  } catch {
    return null
  }
}
