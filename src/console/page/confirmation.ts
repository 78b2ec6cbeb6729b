import { find } from './elements.ts'

/** Asks before something that cannot be undone. The browser gives the focus back to where it was. */
export function confirm(question: { title: string; text: string; action: string }): Promise<boolean> {
  const dialog = find(document, '#confirmation', HTMLDialogElement)
  find(dialog, '#confirmation-title', HTMLElement).textContent = question.title
  find(dialog, '#confirmation-text', HTMLElement).textContent = question.text
  find(dialog, '#confirmation-confirm', HTMLElement).textContent = question.action
  // The last answer would otherwise stand when the dialog is left with Escape.
  dialog.returnValue = 'cancel'
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'confirm'), { once: true })
  })
}
