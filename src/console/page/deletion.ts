import { request } from './api.ts'
import { find, onClick, setText } from './elements.ts'
import { restoreFormDraft } from './form-draft.ts'
import { createRecentSignInPrompt } from './recent-sign-in.ts'
import { explainError } from './wording.ts'

/** The dialog in which a user deletes their account. */
export type Deletion = {
  /** Opens the dialog again after the user had to sign in again. */
  resume(): void
  setLogin(login: string): void
}

const ASK_MILLISECONDS = 1_000
const MAX_ASK_MILLISECONDS = 30_000

/**
 * Sets up the dialog. `started` is called when the session has ended, `finished` when nothing is
 * stored any more.
 */
export function createDeletion(on: { started(): void; finished(): void; error(error: unknown): void }): Deletion {
  const dialog = find(document, '#deletion', HTMLDialogElement)
  const form = find(dialog, '#deletion-form', HTMLFormElement)
  const field = find(form, '#deletion-login', HTMLInputElement)
  const deleteButton = find(form, '#deletion-delete', HTMLButtonElement)
  const problem = find(form, '#deletion-problem', HTMLElement)
  const promptForSignIn = createRecentSignInPrompt(form, {
    reason: find(form, '#deletion-sign-in-reason', HTMLElement),
    link: find(form, '#deletion-sign-in', HTMLAnchorElement),
    submit: deleteButton,
  })

  function open(): void {
    clearProblem()
    promptForSignIn(false)
    dialog.showModal()
    field.focus()
  }

  function clearProblem(): void {
    setText(problem, null)
    field.removeAttribute('aria-invalid')
  }

  function showProblem(sentence: string): void {
    setText(problem, sentence)
    field.setAttribute('aria-invalid', 'true')
    field.focus()
  }

  async function deleteAll(): Promise<void> {
    clearProblem()
    const { deleteViewer } = await request('DeleteViewer', { input: { login: field.value.trim() } })
    const [error] = deleteViewer.userErrors
    if (error?.code === 'RECENT_SIGN_IN_REQUIRED') return promptForSignIn(true)
    if (error !== undefined) return showProblem(explainError(error))
    dialog.close()
    on.started()
    if (deleteViewer.deletion !== null) await untilDeleted(deleteViewer.deletion.id)
    on.finished()
  }

  // The deletion needs no session, so neither does the question whether it has ended.
  async function untilDeleted(id: string): Promise<void> {
    for (let pause = ASK_MILLISECONDS; ; pause = Math.min(pause * 2, MAX_ASK_MILLISECONDS)) {
      const { userDeletion } = await request('UserDeletion', { userDeletionId: id })
      if (userDeletion?.status !== 'DELETING') return
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }

  onClick(find(document, '#delete-account', HTMLButtonElement), async () => open())
  onClick(find(form, '#deletion-cancel', HTMLButtonElement), async () => dialog.close())
  onClick(deleteButton, () =>
    deleteAll().catch((error) => {
      // The page, which the dialog covers, shows the error.
      dialog.close()
      on.error(error)
    }),
  )
  // The entry is the confirmation, so it is required each time.
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
