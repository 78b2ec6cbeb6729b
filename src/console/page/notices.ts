import { request } from './api.ts'
import { copyTemplate, find } from './elements.ts'
import { explainCode, explainWait } from './wording.ts'

/**
 * Shows one notice at the top of the page, in place of any other. The region is live, so that
 * screen readers announce it.
 */
export function showNotice(tone: 'good' | 'neutral' | 'bad', text: string): void {
  const notice = copyTemplate('#notice-template')
  notice.classList.add(tone)
  find(notice, 'p', HTMLElement).textContent = text
  find(notice, 'button', HTMLElement).addEventListener('click', () => {
    notice.remove()
    find(document, '#main', HTMLElement).focus()
  })
  find(document, '#notices', HTMLElement).replaceChildren(notice)
}

/** Removes the notice. */
export function clearNotices(): void {
  find(document, '#notices', HTMLElement).replaceChildren()
}

/** The outcome of an OAuth flow, from the page's URL. */
export type Outcome = { flow: 'xConnect' | 'signIn'; result: string; code: string | null; attempt: string | null }

/** Returns the outcome and removes it from the URL, so that a reload does not show it again. */
export function takeOutcome(): Outcome | null {
  const url = new URL(location.href)
  const { searchParams } = url
  const flow = searchParams.has('xConnect') ? 'xConnect' : 'signIn'
  const result = searchParams.get(flow)
  const [code, attempt] = [searchParams.get('code'), searchParams.get('attempt')]
  for (const name of ['xConnect', 'signIn', 'code', 'attempt']) searchParams.delete(name)
  history.replaceState(null, '', url)
  return result === null ? null : { flow, result, code, attempt }
}

/** Shows the outcome in a notice. A successful sign-in needs none. */
export async function announceOutcome({ flow, result, code, attempt }: Outcome): Promise<void> {
  // The user cancelled it, so it is not an error.
  if (code === 'ACCESS_DENIED') {
    const isSignIn = flow === 'signIn'
    return showNotice(
      'neutral',
      isSignIn ? 'Signing in was cancelled.' : 'Connecting was cancelled. Nothing was connected.',
    )
  }
  if (flow === 'signIn') {
    if (result === 'failed') showNotice('bad', `Signing in did not work. ${explainCode(code)}`)
    return
  }
  // The attempt has more details than its code. It is null for another user's attempt.
  const found =
    attempt === null ? null : await request('ConnectAttempt', { connectAttemptId: attempt }).catch(() => null)
  if (result === 'connected') {
    const username = found?.connectAttempt?.account?.username
    showNotice('good', username === undefined ? 'The account is connected.' : `@${username} is connected.`)
  } else if (result === 'waiting') {
    showNotice('neutral', explainWait(code, found?.connectAttempt?.error ?? null))
  } else {
    showNotice('bad', `Nothing was connected. ${explainCode(code, found?.connectAttempt?.error)}`)
  }
}
