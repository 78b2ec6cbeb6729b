// The few things that every part of the page does with elements.

/** The element that matches, which the page's own HTML must have. */
export function find<Type extends Element>(root: ParentNode, selector: string, type: { new (): Type }): Type {
  const element = root.querySelector(selector)
  if (!(element instanceof type)) throw new Error(`Bug: the page has no ${selector}`)
  return element
}

/** A copy of the one element in a template. */
export function copyTemplate(selector: string): HTMLElement {
  const copy = find(document, selector, HTMLTemplateElement).content.firstElementChild?.cloneNode(true)
  if (!(copy instanceof HTMLElement)) throw new Error(`Bug: the template ${selector} is empty`)
  return copy
}

/** Sets an element's text, and hides it when there is none. */
export function setText(element: HTMLElement, text: string | null): void {
  element.textContent = text
  element.hidden = text === null
}

/** A picture, or the first letter of the name where there is none or it does not load. */
export function setAvatar(frame: HTMLElement, name: string, url: string | null): void {
  // A picture that is shown already is not loaded again.
  if (url !== null && frame.dataset.url === url) return
  frame.textContent = name.slice(0, 1).toUpperCase()
  frame.dataset.url = url ?? ''
  if (url === null) return
  const image = new Image()
  image.alt = ''
  image.referrerPolicy = 'no-referrer'
  // Another picture may have been asked for meanwhile.
  image.addEventListener('load', () => {
    if (frame.dataset.url === url) frame.replaceChildren(image)
  })
  image.src = url
}

/** Runs the work of a button once at a time. It keeps its focus meanwhile, which a disabled button would lose. */
export function onClick(button: HTMLButtonElement, work: () => Promise<void>): void {
  button.addEventListener('click', async (event) => {
    event.preventDefault()
    if (button.ariaDisabled === 'true') return
    button.ariaDisabled = 'true'
    try {
      await work()
    } finally {
      button.ariaDisabled = null
    }
  })
}
