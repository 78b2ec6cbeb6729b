import { find } from './elements.ts'

/** Asks before an action that cannot be undone. The browser restores the focus afterwards. */
export function confirm(question: { title: string; text: string; action: string }): Promise<boolean> {
  const dialog = find(document, '#confirmation', HTMLDialogElement)
  find(dialog, '#confirmation-title', HTMLElement).textContent = question.title
  find(dialog, '#confirmation-text', HTMLElement).textContent = question.text
  find(dialog, '#confirmation-confirm', HTMLElement).textContent = question.action
  // Escape leaves the return value of the previous dialog otherwise.
  dialog.returnValue = 'cancel'
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'confirm'), { once: true })
  })
}
