import { request, type Session } from './api.ts'
import { confirm } from './confirmation.ts'
import { copyTemplate, find, onClick, setText } from './elements.ts'
import { describeUse, formatAge, formatMoment } from './wording.ts'

/** The list of the user's sessions. */
export type SessionList = { setSessions(sessions: readonly Session[]): void }

/** Sets up the list of sessions. Each other session can be ended, and all others at once. */
export function createSessionList(on: { error(error: unknown): void }): SessionList {
  const title = find(document, '#sessions-title', HTMLElement)
  const endOthers = find(document, '#end-sessions', HTMLButtonElement)
  const problem = find(document, '#sessions-problem', HTMLElement)

  async function refresh(): Promise<void> {
    setSessions((await request('Sessions', {})).sessions)
  }

  function setSessions(sessions: readonly Session[]): void {
    find(document, '#sessions', HTMLElement).replaceChildren(...sessions.map(createItem))
    endOthers.hidden = sessions.every(({ current }) => current)
  }

  async function guarded(work: () => Promise<void>): Promise<void> {
    setText(problem, null)
    await work().catch(on.error)
  }

  async function end({ id, device }: Session): Promise<void> {
    const isSure = await confirm({
      title: `Sign out ${device ?? 'that browser'}?`,
      text: 'That browser is signed out immediately. API tokens stay valid.',
      action: 'Sign out',
    })
    if (!isSure) return
    const { revokeSession } = await request('RevokeSession', { input: { sessionId: id } })
    setText(problem, revokeSession.userErrors[0]?.message ?? null)
    await refresh()
    title.focus()
  }

  async function endAllOthers(): Promise<void> {
    const isSure = await confirm({
      title: 'Sign out everywhere else?',
      text: 'All other browsers are signed out immediately. API tokens stay valid; you can revoke them under API tokens.',
      action: 'Sign out',
    })
    if (!isSure) return
    await request('RevokeOtherSessions', {})
    await refresh()
    title.focus()
  }

  function createItem(session: Session): HTMLElement {
    const { device, createdAt, current } = session
    const item = copyTemplate('#session-template')
    find(item, '.name', HTMLElement).textContent = device ?? 'Unknown browser'
    find(item, '.badge', HTMLElement).hidden = !current
    const facts = find(item, '.facts', HTMLElement)
    facts.textContent = `Signed in ${formatAge(createdAt)}${current ? '' : describeUse(session)}`
    facts.title = `Signed in ${formatMoment(createdAt)}`
    const button = find(item, '.end', HTMLButtonElement)
    button.hidden = current
    button.setAttribute('aria-description', facts.textContent)
    onClick(button, () => guarded(() => end(session)))
    return item
  }

  onClick(endOthers, () => guarded(endAllOthers))
  return { setSessions }
}
