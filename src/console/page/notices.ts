import { request } from './api.ts'
import { copyTemplate, find } from './elements.ts'
import { explainCode, explainWait } from './wording.ts'

/** Shows one notice above everything else, in place of any other. The region is live, so it is also spoken. */
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

/** Takes away what is no news any more. */
export function clearNotices(): void {
  find(document, '#notices', HTMLElement).replaceChildren()
}

/** How a trip to a provider ended, as the address of the page says it. */
export type Outcome = { trip: 'xConnect' | 'signIn'; result: string; code: string | null; attempt: string | null }

/** Reads the outcome once: the address is clean afterwards, so that reloading the page does not tell it again. */
export function takeOutcome(): Outcome | null {
  const url = new URL(location.href)
  const { searchParams } = url
  const trip = searchParams.has('xConnect') ? 'xConnect' : 'signIn'
  const result = searchParams.get(trip)
  const [code, attempt] = [searchParams.get('code'), searchParams.get('attempt')]
  for (const name of ['xConnect', 'signIn', 'code', 'attempt']) searchParams.delete(name)
  history.replaceState(null, '', url)
  return result === null ? null : { trip, result, code, attempt }
}

/** Says in a sentence how it ended. A successful sign-in is plain to see. */
export async function announceOutcome({ trip, result, code, attempt }: Outcome): Promise<void> {
  // That is what the person wanted.
  if (code === 'ACCESS_DENIED') {
    const isSignIn = trip === 'signIn'
    return showNotice(
      'neutral',
      isSignIn ? 'Signing in was cancelled.' : 'Connecting was cancelled. Nothing was connected.',
    )
  }
  if (trip === 'signIn') {
    if (result === 'failed') showNotice('bad', `Signing in did not work. ${explainCode(code)}`)
    return
  }
  // The attempt knows more than its code; it is asked for only when it is one's own.
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
