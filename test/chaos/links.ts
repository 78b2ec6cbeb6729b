// Links, made as people make them: sign in, start, consent, come back.
import { type Browser, openBrowser } from '../browser.ts'
import type { Arena } from './arena.ts'

/** A linked X account, and the cookie of its user. */
export type Link = { username: string; accountId: string; userId: string; cookie: string }

const PEOPLE = ['mara-holt', 'tomasz-k', 'yuki-ito']

/** Links so many fresh X accounts through the front door. */
export async function linkAccounts(arena: Arena, count: number): Promise<Link[]> {
  const usernames = Array.from({ length: count }, (_, index) => `chaos_${index}`)
  const shares = PEOPLE.map((login, person) => ({
    login,
    usernames: usernames.filter((_, index) => index % PEOPLE.length === person),
  }))
  const links = await Promise.all(shares.map((share) => linkAs(arena, share.login, share.usernames)))
  const rows = await arena.sql<{ id: string; userId: string; username: string }[]>`
    select id, user_id as "userId", username from connected_accounts where status = 'ACTIVE'`
  return links.flat().map(({ username, cookie }) => {
    const row = rows.find((known) => known.username === username)
    if (row === undefined) throw new Error(`@${username} was not linked.`)
    return { username, cookie, accountId: row.id, userId: row.userId }
  })
}

async function linkAs(
  arena: Arena,
  login: string,
  usernames: string[],
): Promise<{ username: string; cookie: string }[]> {
  const person = openBrowser(arena.publicUrl)
  try {
    const { outcome } = await person.signIn(login)
    if (outcome !== 'succeeded') throw new Error(`${login} could not sign in.`)
    const cookie = cookieOf(person)
    arena.secrets.push(...person.cookies.values())
    for (const username of usernames) {
      arena.sandbox.control.addAccount(username)
      const { outcome, code } = await person.connect(username)
      if (outcome !== 'connected') throw new Error(`@${username} could not be linked: ${code}`)
    }
    return usernames.map((username) => ({ username, cookie }))
  } finally {
    await person.close()
  }
}

function cookieOf(person: Browser): string {
  return [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
}
