// GraphiQL keeps documents, results, headers and a history. On the disk of the browser a pasted API
// token would outlive the session, and the next person would find it. Here they live as long as the
// page, and the page ends with the session.

/** The part of the Storage interface that GraphiQL uses. */
export type PageStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'clear' | 'length'>

const CHANNEL = 'xconnect-viewer'

/** Creates a storage in memory, and deletes what GraphiQL stored in this browser before. */
export function createPageStorage(): PageStorage {
  forgetStoredDocuments()
  const items = new Map<string, string>()
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
    clear: () => items.clear(),
    get length() {
      return items.size
    },
  }
}

/** Tells the open pages of GraphiQL in this browser that the viewer may have changed. */
export function announceViewerChange(): void {
  const channel = new BroadcastChannel(CHANNEL)
  channel.postMessage(null)
  channel.close()
}

/** Calls `check` when a page of this browser announces that the viewer may have changed. */
export function onViewerChange(check: () => void): void {
  new BroadcastChannel(CHANNEL).addEventListener('message', check)
}

function forgetStoredDocuments(): void {
  try {
    for (const name of Object.keys(localStorage)) if (name.startsWith('graphiql:')) localStorage.removeItem(name)
  } catch {
    // Without access to storage, nothing was stored.
  }
}
