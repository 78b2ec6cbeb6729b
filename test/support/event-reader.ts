// Reads a user's events through the API.
import type { Browser } from './browser.ts'
import type { World } from './harness.ts'

export type EventView = {
  id: string
  type: string
  reason: string | null
  occurredAt: string
  userId: string | null
  accountId: string | null
  tweetId: string | null
  apiTokenId: string | null
  webhookEndpointId: string | null
}

export type EventPage = {
  edges: { cursor: string; node: EventView }[]
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null }
}

let lastNumber = 0

/** Signs in a new user, whose only event is this sign-in. */
export async function newPerson(world: World): Promise<Browser> {
  lastNumber += 1
  const login = `person-${lastNumber}`
  world.sandbox.control.addGithubPerson(login)
  return world.signedIn(login)
}

export async function readPage(person: Browser, variables: Record<string, unknown> = {}): Promise<EventPage> {
  const { events } = await person.api('events', variables)
  return events
}

/** Returns the user's events, oldest first. @throws Error if there are more than one page. */
export async function readEvents(person: Browser, variables: Record<string, unknown> = {}): Promise<EventView[]> {
  const page = await readPage(person, { first: 100, ...variables })
  if (page.pageInfo.hasNextPage) throw new Error('There are more than 100 events')
  return page.edges.map(({ node }) => node)
}

/** Returns the types and reasons of events, without those of sessions. */
export async function readStory(person: Browser): Promise<string[]> {
  const events = await readEvents(person)
  return events
    .filter(({ type }) => !type.startsWith('SESSION_'))
    .map(({ type, reason }) => (reason === null ? type : `${type} ${reason}`))
}
