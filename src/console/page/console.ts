// The console: loads the viewer and sets up the sections of the page. It uses only the public API.
import type { OverviewQuery } from '../operation-types.ts'
import { createAccountList } from './accounts.ts'
import { type Account, request, SignedOutError, UnreachableError, type Viewer } from './api.ts'
import { createApiTokens } from './api-tokens.ts'
import { createComposer } from './composer.ts'
import { createDeletion } from './deletion.ts'
import { forgetDraft, loadDraft } from './draft.ts'
import { find, onClick, setAvatar } from './elements.ts'
import { forgetFormDraft } from './form-draft.ts'
import { announceViewerChange } from './graphiql-storage.ts'
import { announceOutcome, showNotice, takeOutcome } from './notices.ts'
import { createSessionList } from './sessions.ts'
import { createTweetList, FIRST_TWEETS } from './tweets.ts'

/** The key of the id of the user whose drafts this tab stores. */
const WRITER_KEY = 'xconnect-writer'
/** The key of a mark that somebody is signed in in this browser. */
const SIGNED_IN_KEY = 'xconnect-signed-in'
const STATES = ['loading', 'signed-out', 'unreachable', 'signed-in'] as const

const accountList = createAccountList({ changed: showOutcome, error: explain })
const composer = createComposer({ settled: showOutcome, error: explain })
const tweetList = createTweetList({ error: explain })
const apiTokens = createApiTokens({ error: explain })
const sessionList = createSessionList({ error: explain })
const deletion = createDeletion({ started: leave, finished: confirmDeletion, error: explain })
const outcome = takeOutcome()

onClick(find(document, '#try-again', HTMLButtonElement), start)
find(document, '#sign-out', HTMLFormElement).addEventListener('submit', forgetDrafts)
// A page from the back/forward cache is stale: later pages of this tab may have changed the
// accounts, the draft or its idempotency keys.
window.addEventListener('pageshow', ({ persisted }) => {
  if (persisted) location.reload()
})
await start()

async function start(): Promise<void> {
  show('loading')
  await load()
  // Also when nothing could be loaded: it says why a sign-in was refused.
  if (outcome !== null) await announceOutcome(outcome)
}

async function load(): Promise<void> {
  try {
    const viewer = await loadViewer()
    markSignedIn(viewer !== null)
    if (viewer === null) show('signed-out')
    else showSignedIn(viewer)
  } catch (error) {
    if (error instanceof SignedOutError) return show('signed-out')
    find(document, '#unreachable-title', HTMLElement).textContent =
      error instanceof UnreachableError ? 'The gateway does not respond' : 'Something went wrong'
    find(document, '#unreachable-reason', HTMLElement).textContent =
      error instanceof Error ? error.message : String(error)
    show('unreachable')
  }
}

// Visitors who are not signed in share the rate limit of their address, so they ask for the least.
async function loadViewer(): Promise<OverviewQuery['viewer']> {
  if (!isMarkedSignedIn() && (await request('Viewer', {})).viewer === null) return null
  return (await request('Overview', { firstTweets: FIRST_TWEETS })).viewer
}

function isMarkedSignedIn(): boolean {
  try {
    return localStorage.getItem(SIGNED_IN_KEY) !== null
  } catch {
    return false
  }
}

function markSignedIn(isSignedIn: boolean): void {
  try {
    if (isSignedIn) localStorage.setItem(SIGNED_IN_KEY, 'yes')
    else localStorage.removeItem(SIGNED_IN_KEY)
  } catch {
    // Without access to storage, one request more is sent.
  }
}

function showSignedIn(viewer: NonNullable<OverviewQuery['viewer']>): void {
  const person = find(document, '#person', HTMLElement)
  setAvatar(find(person, '.avatar', HTMLElement), viewer.login, viewer.avatarUrl)
  find(person, '.login', HTMLElement).textContent = viewer.login
  apiTokens.setVisibility(viewer.linkVisibility)
  deletion.setLogin(viewer.login)
  keepDraftsOf(viewer)
  composer.resume()
  showAccounts(viewer.connectedAccounts)
  tweetList.setTweets(viewer.tweets)
  apiTokens.setApiTokens(viewer.apiTokens)
  sessionList.setSessions(viewer.sessions)
  show('signed-in')
  apiTokens.resume()
  deletion.resume()
}

// After a session has ended, its drafts are kept for the same user only.
function keepDraftsOf({ id }: Viewer): void {
  try {
    if (sessionStorage.getItem(WRITER_KEY) !== id) forgetDrafts()
    sessionStorage.setItem(WRITER_KEY, id)
  } catch {
    // Without access to storage, nothing was stored.
  }
}

function forgetDrafts(): void {
  forgetDraft()
  forgetFormDraft()
  announceViewerChange()
}

function leave(): void {
  forgetDrafts()
  composer.resume()
  show('signed-out')
  showNotice('good', 'You are signed out, and your data is being deleted. You can close this page.')
  find(document, '#main', HTMLElement).focus()
}

function confirmDeletion(): void {
  showNotice('good', 'Everything that this gateway stored about you is deleted. Your tweets stay on X.')
}

async function loadAccounts(): Promise<void> {
  showAccounts((await request('ConnectedAccounts', {})).connectedAccounts)
}

function showAccounts(connectedAccounts: readonly Account[]): void {
  accountList.setAccounts(connectedAccounts)
  composer.setAccounts(connectedAccounts)
}

// A post changes its account too (last use, status), and a disconnected account changes the list of
// tweets.
async function showOutcome(): Promise<void> {
  await Promise.all([loadAccounts(), tweetList.refresh()])
}

function show(state: (typeof STATES)[number]): void {
  for (const id of STATES) find(document, `#${id}`, HTMLElement).hidden = id !== state
  find(document, '#person', HTMLElement).hidden = state !== 'signed-in'
  if (state === 'signed-out') announceViewerChange()
}

/** Shows an error that belongs to no field or list. */
function explain(error: unknown): void {
  if (error instanceof SignedOutError) {
    show('signed-out')
    const promise = loadDraft().text.trim() === '' ? '' : '; your draft is kept'
    showNotice('bad', `Your session has ended. Sign in again to continue${promise}.`)
  } else if (error instanceof UnreachableError) showNotice('bad', `The gateway does not respond. ${error.message}`)
  else showNotice('bad', error instanceof Error ? error.message : String(error))
}
