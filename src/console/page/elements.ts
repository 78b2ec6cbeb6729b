// Functions on elements that several parts of the page use.

/** Returns the matching element. Throws when the page's HTML has none of this type. */
export function find<Type extends Element>(root: ParentNode, selector: string, type: { new (): Type }): Type {
  const element = root.querySelector(selector)
  if (!(element instanceof type)) throw new Error(`Bug: the page has no ${selector}`)
  return element
}

/** Returns a copy of the only element in a template. */
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

/** Shows a picture, or the first letter of the name when there is none or it does not load. */
export function setAvatar(frame: HTMLElement, name: string, url: string | null): void {
  // A picture that is shown already is not loaded again.
  if (url !== null && frame.dataset.url === url) return
  frame.textContent = name.slice(0, 1).toUpperCase()
  frame.dataset.url = url ?? ''
  if (url === null) return
  const image = new Image()
  image.alt = ''
  image.referrerPolicy = 'no-referrer'
  // Another picture may have been requested meanwhile.
  image.addEventListener('load', () => {
    if (frame.dataset.url === url) frame.replaceChildren(image)
  })
  image.src = url
}

/**
 * Runs the work of a button, at most once at a time. The button is not disabled meanwhile, because
 * it would lose the focus.
 */
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
