// The OAuth apps at GitHub and X, or the sandbox in their place.
import { parseBaseUrl, parsePort } from './variables.ts'

/** The credentials of the gateway's OAuth app at a provider, and the provider's URLs. */
export type ProviderConfig<Secret extends string | null> = {
  clientId: string
  clientSecret: Secret
  /** The base URL of the pages that a user visits, without a trailing slash. */
  url: string
  /** The base URL of the API, without a trailing slash. */
  apiUrl: string
}

// The app's credentials at the sandbox, which is started with the same ones.
const sandboxCredentials = {
  github: { clientId: 'sandbox-github-app', clientSecret: 'sandbox-github-secret' },
  x: { clientId: 'sandbox-x-app', clientSecret: 'sandbox-x-secret' },
} as const

/** The credentials with which the app calls X for itself, without a user. */
export type XAppConfig = Readonly<
  | { id: string | null; bearerToken: string }
  | { id: string | null; bearerToken: null; apiKey: string; apiSecret: string }
>

/** The provider part of the configuration. */
export type ProvidersConfig = Readonly<{
  github: Readonly<ProviderConfig<string>>
  /** `app` is null when X is not asked to report revocations. */
  x: Readonly<ProviderConfig<string | null> & { app: XAppConfig | null }>
  /** The sandbox that is started beside the gateway; null when real providers are used. */
  sandbox: Readonly<{ port: number; followsPort: boolean }> | null
}>

/**
 * Parses the credentials and URLs of both providers. Outside production the sandbox replaces them
 * when no credential is set.
 * @param get reads a variable; null when it is not set.
 */
export function parseProviders(
  get: (name: string) => string | null,
  { production, port }: { production: boolean; port: number },
  problems: string[],
): ProvidersConfig {
  const app = parseXApp(get, problems)
  const needed = ['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET', 'X_CLIENT_ID']
  const missing = needed.filter((name) => get(name) === null)
  const choice = get('SANDBOX') ?? 'auto'
  if (!['auto', 'on', 'off'].includes(choice)) problems.push('SANDBOX must be auto, on or off.')
  if (production && choice === 'on') problems.push('SANDBOX=on is refused with NODE_ENV=production.')
  const noneSet = missing.length === needed.length && get('X_CLIENT_SECRET') === null
  if (!production && (choice === 'on' || (choice === 'auto' && noneSet))) {
    const given = get('SANDBOX_PORT')
    const sandboxPort = parsePort(given, 'SANDBOX_PORT', port === 0 ? 0 : port + 1, problems)
    const url = `http://localhost:${sandboxPort}`
    return {
      github: { ...sandboxCredentials.github, url, apiUrl: url },
      x: { ...sandboxCredentials.x, url, apiUrl: url, app },
      sandbox: { port: sandboxPort, followsPort: given === null },
    }
  }
  for (const name of missing)
    problems.push(`${name} is missing: copy it from the OAuth app that you registered (docs/operate.md).`)
  return {
    github: {
      clientId: get('GITHUB_CLIENT_ID') ?? '',
      clientSecret: get('GITHUB_CLIENT_SECRET') ?? '',
      url: parseBaseUrl(get, 'GITHUB_URL', 'https://github.com', problems),
      apiUrl: parseBaseUrl(get, 'GITHUB_API_URL', 'https://api.github.com', problems),
    },
    x: {
      clientId: get('X_CLIENT_ID') ?? '',
      clientSecret: get('X_CLIENT_SECRET'),
      // twitter.com does not share the login of x.com: the user could connect another account
      // there.
      url: withoutTwitter(parseBaseUrl(get, 'X_URL', 'https://x.com', problems)),
      apiUrl: parseBaseUrl(get, 'X_API_URL', 'https://api.x.com', problems),
      app,
    },
    sandbox: null,
  }
}

function parseXApp(get: (name: string) => string | null, problems: string[]): XAppConfig | null {
  const [bearerToken, apiKey, apiSecret, id] = ['X_APP_BEARER_TOKEN', 'X_API_KEY', 'X_API_SECRET', 'X_APP_ID'].map(get)
  if (id != null && !/^\d{1,19}$/.test(id)) problems.push('X_APP_ID must be the number of the app at X.')
  if ((apiKey == null) !== (apiSecret == null)) problems.push('X_API_KEY and X_API_SECRET belong together: set both.')
  if (bearerToken != null) return { id: id ?? null, bearerToken }
  return apiKey == null || apiSecret == null ? null : { id: id ?? null, bearerToken: null, apiKey, apiSecret }
}

function withoutTwitter(url: string): string {
  return /^(www\.|mobile\.)?twitter\.com$/.test(URL.parse(url)?.hostname ?? '') ? 'https://x.com' : url
}
