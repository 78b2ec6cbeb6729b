// Starts GraphiQL. GraphiQL and React are scripts that were loaded before this module.
declare const React: { createElement(component: unknown, props: Record<string, unknown>): unknown }
declare const ReactDOM: { createRoot(element: Element): { render(node: unknown): void; unmount(): void } }
declare const GraphiQL: unknown
declare global {
  var __webpack_nonce__: string | undefined
}

import { request } from './api.ts'
import { find } from './elements.ts'
import { createPageStorage, onViewerChange } from './graphiql-storage.ts'
import { takeOutcome } from './notices.ts'

type Parameters = { query: string; operationName?: string | null }

const FIRST_QUERY = `# The console and all programs use this API.
# Press the button on the right, or Ctrl+Enter.
#
# The book on the left opens the manual: all types,
# fields and arguments. Ctrl+Space suggests.
# Requests use your session, if you are signed in.

query WhoAmI {
  # null when signed out
  viewer {
    login
    name
  }
  # your X accounts; an error when signed out
  connectedAccounts {
    id
    username
    status
    nextAction
  }
}
`

const CONNECT = `# Run this, then open authorizationUrl
# in this same browser.

mutation Connect {
  startXConnect {
    authorizationUrl
  }
}
`

const POST = `# With several accounts, add the accountId.
# Sent again with the same idempotencyKey,
# it posts nothing twice.

mutation Post {
  postTweet(
    input: {
      text: "Hello from GraphiQL"
      idempotencyKey: "hello-1"
    }
  ) {
    tweet {
      status
      url
    }
    userErrors {
      code
      message
      field
    }
  }
}
`

/** Mutations after which this session may have ended. */
const ENDS_SESSIONS = /\b(?:signOut|deleteViewer|revokeSession)\b/

takeOutcome()
// The nonce for the style element that GraphiQL's dialogs add.
globalThis.__webpack_nonce__ = find(document, 'meta[name="style-nonce"]', HTMLMetaElement).content
const root = ReactDOM.createRoot(find(document, '#graphiql', HTMLElement))
root.render(
  React.createElement(GraphiQL, {
    fetcher: ask,
    defaultQuery: FIRST_QUERY,
    defaultTabs: [{ query: FIRST_QUERY }, { query: CONNECT }, { query: POST }],
    defaultEditorToolsVisibility: false,
    storage: createPageStorage(),
    shouldPersistHeaders: false,
  }),
)

const viewer = await findViewer()
const check = () => void startAnewForOthers()
onViewerChange(check)
window.addEventListener('focus', check)
document.addEventListener('visibilitychange', check)
// A page from the back/forward cache is as it was left, perhaps by another person.
window.addEventListener('pageshow', ({ persisted }) => {
  if (persisted) startAnew()
})
if (viewer === null) {
  const link = document.createElement('a')
  link.href = '/auth/github?returnTo=/graphql'
  link.textContent = 'Sign in with GitHub'
  find(document, '#viewer', HTMLElement).append('You are signed out. ', link)
} else if (viewer !== undefined) {
  find(document, '#viewer', HTMLElement).textContent = `Signed in as ${viewer.login}`
}

// The viewer; null when signed out, undefined while the gateway does not respond.
async function findViewer(): Promise<{ id: string; login: string } | null | undefined> {
  return (await request('Viewer', {}).catch(() => null))?.viewer
}

// The session may have ended or changed in another tab, by a mutation of this page, or by itself.
async function startAnewForOthers(): Promise<void> {
  if (viewer === undefined) return
  const now = await findViewer()
  if (now !== undefined && now?.id !== viewer?.id) startAnew()
}

// Documents, results and headers are shown to no other user.
function startAnew(): void {
  root.unmount()
  location.reload()
}

// GraphiQL's default fetcher supports subscriptions only over WebSocket. The browser's fetch sends
// the session cookie: same origin.
async function ask(parameters: Parameters, { headers }: { headers?: Record<string, string> } = {}): Promise<unknown> {
  const stopping = new AbortController()
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify(withoutStaleName(parameters)),
    signal: stopping.signal,
  })
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') && response.body !== null
  if (ENDS_SESSIONS.test(parameters.query)) void startAnewForOthers()
  return isStream ? follow(readResults(response.body), stopping) : response.json()
}

// Shortly after an edit, GraphiQL still passes the name of the previous operation.
function withoutStaleName({ operationName, ...parameters }: Parameters): Parameters {
  const isThere = operationName && new RegExp(`\\b${operationName}\\b`).test(parameters.query)
  return isThere ? { operationName, ...parameters } : parameters
}

// A generator's return() waits for its pending await, so the connection must be aborted first.
function follow(results: AsyncGenerator<unknown, void>, stopping: AbortController): AsyncIterableIterator<unknown> {
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    next: () =>
      results.next().catch((error) => {
        if (stopping.signal.aborted) return { done: true, value: undefined }
        throw error
      }),
    return: () => {
      stopping.abort()
      return Promise.resolve({ done: true, value: undefined })
    },
  }
}

// GraphQL over SSE, distinct connections mode: `next` events with a result each, then one
// `complete` event.
async function* readResults(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown, void> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    const events = (text + decoder.decode(chunk.value, { stream: true })).split('\n\n')
    text = events.pop() ?? ''
    for (const event of events) {
      const data = /^data: ?(.+)$/m.exec(event)?.[1]
      if (/^event: ?next$/m.test(event) && data !== undefined) yield JSON.parse(data)
    }
  }
}
