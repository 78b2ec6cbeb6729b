import { request } from './api.ts'
import { find, onClick, setText } from './elements.ts'
import { restoreFormDraft, saveFormDraft } from './form-draft.ts'
import { explainError } from './wording.ts'

/** The dialog in which people delete themselves. */
export type Deletion = {
  /** Goes on where the person was about to do it, before they had to sign in again. */
  resume(): void
  setLogin(login: string): void
}

/** Makes the dialog work. `deleted` is called when nothing is stored of the person any more. */
export function createDeletion(on: { deleted(): void; error(error: unknown): void }): Deletion {
  const dialog = find(document, '#deletion', HTMLDialogElement)
  const form = find(dialog, '#deletion-form', HTMLFormElement)
  const field = find(form, '#deletion-login', HTMLInputElement)
  const deleteButton = find(form, '#deletion-delete', HTMLButtonElement)
  const signIn = find(form, '#deletion-sign-in', HTMLAnchorElement)
  const problem = find(form, '#deletion-problem', HTMLElement)

  function open(): void {
    clearProblem()
    askForSignIn(false)
    dialog.showModal()
    field.focus()
  }

  function clearProblem(): void {
    setText(problem, null)
    field.removeAttribute('aria-invalid')
  }

  function complain(sentence: string): void {
    setText(problem, sentence)
    field.setAttribute('aria-invalid', 'true')
    field.focus()
  }

  // Only where it is too long ago: most have just signed in.
  function askForSignIn(isNeeded: boolean): void {
    find(form, '#deletion-sign-in-reason', HTMLElement).hidden = !isNeeded
    signIn.hidden = !isNeeded
    deleteButton.hidden = isNeeded
    if (isNeeded) signIn.focus()
  }

  async function deleteAll(): Promise<void> {
    clearProblem()
    const { deleteViewer } = await request('DeleteViewer', { input: { login: field.value.trim() } })
    const [error] = deleteViewer.userErrors
    if (error?.code === 'RECENT_SIGN_IN_REQUIRED') return askForSignIn(true)
    if (error !== undefined) return complain(explainError(error))
    dialog.close()
    on.deleted()
  }

  onClick(find(document, '#delete-account', HTMLButtonElement), async () => open())
  onClick(find(form, '#deletion-cancel', HTMLButtonElement), async () => dialog.close())
  onClick(deleteButton, () =>
    deleteAll().catch((error) => {
      // It is said on the page, which the dialog covers.
      dialog.close()
      on.error(error)
    }),
  )
  signIn.addEventListener('click', () => saveFormDraft(form))
  // What is typed in is the consent: the next time it is asked for anew.
  dialog.addEventListener('close', () => form.reset())
  return {
    resume: () => {
      if (restoreFormDraft(form)) open()
    },
    setLogin: (login) => {
      find(form, '#deletion-whom', HTMLElement).textContent = login
    },
  }
}
