/** A request to the sandbox, for tests. Kept in memory only, since it contains tokens. */
export type ReceivedRequest = {
  method: string
  path: string
  query: Record<string, string>
  headers: Record<string, string>
  /** Fields of a form with its files as `FileSummary`, parsed JSON, other text, or null. */
  body: unknown
  /** Milliseconds of the sandbox's clock. */
  at: number
  /** Null before the response is sent, and when the connection was closed instead. */
  status: number | null
  /** Whether the provider executed the request. */
  acted: boolean
}

export type ReceivedFilter = { method?: string; path?: string; acted?: boolean }

export type Recorder = {
  arrive(request: { method: string; url: URL; headers: Record<string, string>; body: unknown; at: number }): {
    received: ReceivedRequest
    parameters: Record<string, string>
    leave(): void
  }
  list(filter?: ReceivedFilter): ReceivedRequest[]
  clear(): void
  concurrentSends(): number
}

// Enough for any test, and a bound for a sandbox that runs for days.
const KEPT_REQUESTS = 50_000

/** Creates a recorder without requests. */
export function createRecorder(): Recorder {
  let requests: ReceivedRequest[] = []
  let mostConcurrent = 0
  const inFlight = new Map<string, number>()

  return {
    arrive({ method, url, headers, body, at }) {
      const query = Object.fromEntries(url.searchParams)
      const received = { method, path: url.pathname, query, headers, body, at, status: null, acted: false }
      requests.push(received)
      if (requests.length > KEPT_REQUESTS) requests = requests.slice(-KEPT_REQUESTS / 2)
      const parameters = { ...query, ...stringFields(body) }
      const token = url.pathname === '/2/oauth2/token' ? parameters.refresh_token : undefined
      if (token === undefined) return { received, parameters, leave: () => {} }
      const now = (inFlight.get(token) ?? 0) + 1
      inFlight.set(token, now)
      mostConcurrent = Math.max(mostConcurrent, now)
      const leave = () => {
        const left = (inFlight.get(token) ?? 1) - 1
        if (left > 0) inFlight.set(token, left)
        else inFlight.delete(token)
      }
      return { received, parameters, leave }
    },
    list: (filter = {}) =>
      requests.filter(
        (request) =>
          (filter.method === undefined || request.method === filter.method.toUpperCase()) &&
          (filter.path === undefined || new RegExp(`^(?:${filter.path})$`).test(request.path)) &&
          (filter.acted === undefined || request.acted === filter.acted),
      ),
    clear() {
      requests = []
      mostConcurrent = Math.max(0, ...inFlight.values())
    },
    concurrentSends: () => mostConcurrent,
  }
}

function stringFields(body: unknown): Record<string, string> {
  if (typeof body !== 'object' || body === null) return {}
  return Object.fromEntries(
    Object.entries(body).flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
        ? [[name, String(value)]]
        : [],
    ),
  )
}
