// Starts GraphiQL. It and React are plain scripts that came before this module; this is all of them that we use.
declare const React: { createElement(component: unknown, props: Record<string, unknown>): unknown }
declare const ReactDOM: { createRoot(element: Element): { render(node: unknown): void } }
declare const GraphiQL: { createFetcher(options: { url: string }): unknown }
declare global {
  var __webpack_nonce__: string | undefined
}

import { request } from './api.ts'
import { find } from './elements.ts'
import { takeOutcome } from './notices.ts'

const WHO_AM_I = `# The API that everything uses, the console too.
# Press the button on the right, or Ctrl+Enter.
#
# The book on the left is the manual: all types,
# fields and arguments. Ctrl+Space suggests.
# What you run is done as you, if signed in.

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

takeOutcome()
// Its dialogs give this to the style element that they write.
globalThis.__webpack_nonce__ = find(document, 'meta[name="style-nonce"]', HTMLMetaElement).content
const root = ReactDOM.createRoot(find(document, '#graphiql', HTMLElement))
root.render(
  React.createElement(GraphiQL, {
    // The browser's own fetch sends our cookie along: it is the same origin.
    fetcher: GraphiQL.createFetcher({ url: '/graphql' }),
    defaultQuery: WHO_AM_I,
    defaultTabs: [{ query: WHO_AM_I }, { query: CONNECT }, { query: POST }],
    defaultEditorToolsVisibility: false,
    // A pasted Authorization header must not stay in the browser.
    shouldPersistHeaders: false,
  }),
)

const { viewer } = await request('Viewer', {}).catch(() => ({ viewer: undefined }))
if (viewer === null) {
  const link = document.createElement('a')
  link.href = '/auth/github?returnTo=/graphql'
  link.textContent = 'Sign in with GitHub'
  find(document, '#viewer', HTMLElement).append('You are signed out. ', link)
} else if (viewer !== undefined) {
  find(document, '#viewer', HTMLElement).textContent = `Signed in as ${viewer.login}`
}
