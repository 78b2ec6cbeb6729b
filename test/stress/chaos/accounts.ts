// Connects accounts as users do: sign in, start, consent, callback.
import { cookieOf, openBrowser } from '../../support/browser.ts'
import type { Stage } from './stage.ts'

/** A connected X account, and the cookie of its user. */
export type ChaosAccount = { username: string; accountId: string; cookie: string }

const PEOPLE = ['mara-holt', 'tomasz-k', 'yuki-ito']

/** Connects `count` new X accounts through the public API. */
export async function connectAccounts(stage: Stage, count: number): Promise<ChaosAccount[]> {
  const usernames = Array.from({ length: count }, (_, index) => `chaos_${index}`)
  const accounts = await Promise.all(
    PEOPLE.map((login, person) =>
      connectAs(
        stage,
        login,
        usernames.filter((_, index) => index % PEOPLE.length === person),
      ),
    ),
  )
  return accounts.flat()
}

async function connectAs(stage: Stage, login: string, usernames: string[]): Promise<ChaosAccount[]> {
  if (usernames.length === 0) return []
  const person = openBrowser(stage.publicUrl)
  try {
    const { outcome } = await person.signIn(login)
    if (outcome !== 'succeeded') throw new Error(`${login} could not sign in.`)
    stage.secrets.push(...person.cookies.values())
    for (const username of usernames) {
      stage.sandbox.control.addAccount(username)
      const { outcome, code } = await person.connect(username)
      if (outcome !== 'connected') throw new Error(`@${username} could not be connected: ${code}`)
    }
    const { connectedAccounts } = await person.api('connected-accounts')
    const { cookie } = cookieOf(person)
    return connectedAccounts.map(({ id, username }) => ({ username, accountId: id, cookie }))
  } finally {
    await person.close()
  }
}
