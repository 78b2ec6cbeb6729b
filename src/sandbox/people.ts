import type { GithubPerson, XAccount } from './state.ts'

/**
 * The GitHub users of the sandbox. One has neither a public name nor an e-mail address, as many
 * users do, so that no client relies on either.
 */
export const GITHUB_PEOPLE: GithubPerson[] = [
  {
    id: 58_320_114,
    login: 'mara-holt',
    name: 'Mara Holt',
    email: 'mara@example.com',
    bio: 'Builds small tools for busy people.',
  },
  {
    id: 7_409_262,
    login: 'tomasz-k',
    name: 'Tomasz Kowal',
    email: 'tomasz@example.com',
    bio: 'Databases, trains, soup.',
  },
  { id: 190_288_735, login: 'yuki-ito', name: null, email: null, bio: null },
]

/**
 * The X accounts of the sandbox. As at X, old accounts have short ids and new ones 19 digits, more
 * than a JavaScript number holds.
 */
export const X_ACCOUNTS: XAccount[] = [
  account('1849302774156890113', 'maraholt', 'Mara Holt', {
    description: 'Builds small tools for busy people. Mostly harbour photographs.',
    createdAt: '2024-10-24T07:12:33.000Z',
  }),
  account('244991042', 'tomasz_k', 'Tomasz Kowal', {
    description: 'Long posts about databases. You were warned.',
    subscriptionType: 'Premium',
    verifiedType: 'blue',
    createdAt: '2011-01-30T18:05:10.000Z',
  }),
  account('1552087316628119553', 'harbourbakery', 'Harbour Bakery', {
    description: 'Bread at six, cardamom buns at seven. Gone by ten.',
    subscriptionType: 'Basic',
    createdAt: '2022-07-26T22:40:01.000Z',
  }),
  account('1390114982207721473', 'quietgarden', 'The Quiet Garden', {
    description: 'For friends only.',
    protected: true,
    createdAt: '2021-05-06T01:22:47.000Z',
  }),
  account('1702218440913805312', 'lostlantern', 'Lost Lantern', {
    description: 'This account broke a rule once.',
    suspended: true,
    createdAt: '2023-09-14T07:21:59.000Z',
  }),
]

/** Returns an account with X's defaults for all that `rest` does not set. */
export function account(id: string, username: string, name: string, rest: Partial<XAccount> = {}): XAccount {
  return {
    id,
    username,
    name,
    description: '',
    protected: false,
    suspended: false,
    locked: false,
    subscriptionType: 'None',
    verifiedType: 'none',
    createdAt: '2024-01-01T00:00:00.000Z',
    ...rest,
  }
}

// First path segments of the pages and APIs: an account with such a name would hide one.
const RESERVED_USERNAMES = new Set(['i', 'user', 'login', 'settings', 'assets', 'home', '2', '_control', 'favicon'])

/** X's rule for a handle: 1 to 15 letters, digits and underscores (OpenAPI, UserName). */
export function isPossibleUsername(username: string): boolean {
  return /^[A-Za-z0-9_]{1,15}$/.test(username) && !RESERVED_USERNAMES.has(username.toLowerCase())
}
