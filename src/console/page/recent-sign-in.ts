import { saveFormDraft } from './form-draft.ts'

/**
 * Prepares a form whose submission can require a recent sign-in. The link to sign in again stores
 * the fields of the form.
 * @returns the function that shows the reason and the link in place of the submit button, and that
 * hides them again. Call it when the server has asked for it: most users have just signed in.
 */
export function createRecentSignInPrompt(
  form: HTMLFormElement,
  { reason, link, submit }: { reason: HTMLElement; link: HTMLAnchorElement; submit: HTMLButtonElement },
): (isNeeded: boolean) => void {
  link.addEventListener('click', () => saveFormDraft(form))
  return (isNeeded) => {
    reason.hidden = !isNeeded
    link.hidden = !isNeeded
    submit.hidden = isNeeded
    if (isNeeded) link.focus()
  }
}
