import { type ApiToken, type LinkVisibility, request } from './api.ts'
import { confirm } from './confirmation.ts'
import { copyTemplate, find, onClick, setText } from './elements.ts'
import { restoreFormDraft } from './form-draft.ts'
import { createRecentSignInPrompt } from './recent-sign-in.ts'
import { explainError, formatAge, formatDate, formatMoment, tokenBadges } from './wording.ts'

/** The section with the API tokens and the visibility to integrators. */
export type ApiTokens = {
  setApiTokens(apiTokens: readonly ApiToken[]): void
  /** Restores the form for a new token after the user had to sign in again. */
  resume(): void
  setVisibility(visibility: LinkVisibility): void
}

/**
 * Sets up the section: the list of API tokens, the form for a new one, and the visibility to
 * integrators.
 */
export function createApiTokens(on: { error(error: unknown): void }): ApiTokens {
  const form = find(document, '#token-form', HTMLFormElement)
  const opener = find(document, '#new-token', HTMLButtonElement)
  const name = find(form, '#token-name', HTMLInputElement)
  const makeButton = find(form, '#token-make', HTMLButtonElement)
  const fresh = find(document, '#fresh-token', HTMLElement)
  const secretField = find(document, '#token-secret', HTMLTextAreaElement)
  const formProblem = find(form, '#token-problem', HTMLElement)
  const problem = find(document, '#tokens-problem', HTMLElement)
  const visible = find(document, '#visible', HTMLInputElement)
  const promptForSignIn = createRecentSignInPrompt(form, {
    reason: find(form, '#token-sign-in-reason', HTMLElement),
    link: find(form, '#token-sign-in', HTMLAnchorElement),
    submit: makeButton,
  })

  async function guarded(work: () => Promise<void>): Promise<void> {
    setText(problem, null)
    setText(formProblem, null)
    await work().catch(on.error)
  }

  async function refresh(): Promise<void> {
    setApiTokens((await request('ApiTokens', {})).apiTokens)
  }

  function setApiTokens(apiTokens: readonly ApiToken[]): void {
    const shown = apiTokens.filter(({ status }) => status !== 'REVOKED')
    find(document, '#tokens', HTMLElement).replaceChildren(...shown.map(createItem))
    find(document, '#no-tokens', HTMLElement).hidden = shown.length > 0
  }

  function showForm(isOpen: boolean): void {
    form.hidden = !isOpen
    opener.hidden = isOpen
    promptForSignIn(false)
    if (isOpen) name.focus()
    else opener.focus()
  }

  function resume(): void {
    if (!restoreFormDraft(form)) return
    showForm(true)
    makeButton.focus()
  }

  async function make(): Promise<void> {
    const chosen = new FormData(form)
    const { createApiToken } = await request('CreateApiToken', {
      input: {
        name: String(chosen.get('name')),
        scopes: chosen.getAll('scope').map(String),
        expiresInDays: Number(chosen.get('days')),
      },
    })
    const [error] = createApiToken.userErrors
    if (error?.code === 'RECENT_SIGN_IN_REQUIRED') return promptForSignIn(true)
    setText(formProblem, error === undefined ? null : explainError(error))
    if (createApiToken.secret === null) return
    form.reset()
    showForm(false)
    secretField.value = createApiToken.secret
    fresh.hidden = false
    secretField.focus()
    secretField.select()
    await refresh()
  }

  async function revoke({ id, name }: ApiToken): Promise<void> {
    const isSure = await confirm({
      title: `Revoke “${name}”?`,
      text: 'Programs that use this token lose access immediately. This cannot be undone.',
      action: 'Revoke',
    })
    if (!isSure) return
    const { revokeApiToken } = await request('RevokeApiToken', { input: { apiTokenId: id } })
    setText(problem, revokeApiToken.userErrors[0]?.message ?? null)
    forgetSecret()
    await refresh()
    find(document, '#api-tokens-title', HTMLElement).focus()
  }

  function createItem(token: ApiToken): HTMLElement {
    const item = copyTemplate('#token-template')
    find(item, '.name', HTMLElement).textContent = token.name
    find(item, '.looks', HTMLElement).textContent = `${token.prefix}…${token.lastFour}`
    const badge = find(item, '.badge', HTMLElement)
    badge.textContent = tokenBadges[token.status].word
    badge.dataset.tone = tokenBadges[token.status].tone
    find(item, '.scopes', HTMLElement).textContent = token.scopes.map(labelOf).join(' · ')
    const facts = find(item, '.facts', HTMLElement)
    const used = token.lastUsedAt === null ? 'Never used' : `Used ${formatAge(token.lastUsedAt)}`
    facts.textContent = token.status === 'EXPIRED' ? used : `${used}, expires ${formatDate(token.expiresAt)}`
    facts.title = `Created ${formatMoment(token.createdAt)}`
    const end = find(item, '.revoke', HTMLButtonElement)
    end.setAttribute('aria-description', token.name)
    onClick(end, () => guarded(() => revoke(token)))
    return item
  }

  // The label of the form.
  function labelOf(scope: string): string {
    return form.querySelector(`[value="${scope}"]`)?.parentElement?.textContent ?? scope
  }

  function forgetSecret(): void {
    secretField.value = ''
    fresh.hidden = true
  }

  async function setVisibility(): Promise<void> {
    const visibility = visible.checked ? 'INTEGRATORS' : 'NOBODY'
    try {
      await request('SetLinkVisibility', { input: { visibility } })
    } catch (error) {
      // The change failed: show the previous state again.
      visible.checked = !visible.checked
      throw error
    }
  }

  onClick(opener, async () => {
    forgetSecret()
    showForm(true)
  })
  onClick(find(form, '#token-cancel', HTMLButtonElement), async () => {
    setText(formProblem, null)
    showForm(false)
  })
  onClick(makeButton, () => guarded(make))
  onClick(find(fresh, '#token-copy', HTMLButtonElement), async () => {
    secretField.select()
    await navigator.clipboard.writeText(secretField.value).then(
      () => setText(find(fresh, '#token-copied', HTMLElement), 'Copied.'),
      // The browser denies access to the clipboard. The token is selected.
      () => setText(find(fresh, '#token-copied', HTMLElement), 'Press Ctrl+C to copy.'),
    )
  })
  onClick(find(fresh, '#token-done', HTMLButtonElement), async () => {
    forgetSecret()
    opener.focus()
  })
  visible.addEventListener('change', () => void guarded(setVisibility))
  return {
    setApiTokens,
    resume,
    setVisibility: (visibility) => {
      visible.checked = visibility === 'INTEGRATORS'
    },
  }
}
