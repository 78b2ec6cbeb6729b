import { eq } from 'drizzle-orm'
import { afterEach, describe, expect, test } from 'vitest'
import { createInvite, MAX_INVITES, revokeInvite } from '../../../src/auth/invites.ts'
import { parseSignIn } from '../../../src/config/sign-in-config.ts'
import {
  invites,
  OPERATOR_ID,
  sessions,
  signInAttempts,
  userIdentities,
  userLogins,
  users,
} from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { isSignedIn } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
afterEach(() => world.close())

const ACTOR = { name: 'command:test', apiTokenId: null }

/** The configuration of a gateway that is started again with these variables. */
function signInWith(environment: Record<string, string>) {
  const problems: string[] = []
  const signIn = parseSignIn((name) => environment[name] ?? null, problems)
  expect(problems).toEqual([])
  return { signIn }
}

/** Counts everything that is stored about people. */
async function countStored() {
  const db = world.db()
  return Promise.all([users, userIdentities, userLogins, sessions].map((table) => db.$count(table)))
}

/** Signs in, and expects the refusal and that nothing more is stored about anybody. */
async function expectRefusal(login: string, code: string, person: Browser = world.browser()): Promise<void> {
  const before = await countStored()
  expect(await person.signIn(login)).toMatchObject({ outcome: 'failed', code })
  expect(await isSignedIn(person)).toBe(false)
  expect(await countStored()).toEqual(before)
}

const expectSignIn = async (login: string, person: Browser = world.browser()) => {
  expect(await person.signIn(login)).toMatchObject({ outcome: 'succeeded', code: null })
  expect(await isSignedIn(person)).toBe(true)
}

/** Follows an invite link, and signs in at GitHub. */
async function signInWithInvite(link: string, login: string, person: Browser = world.browser()) {
  const { pathname, search } = new URL(link)
  const start = await person.request(pathname + search)
  return person.finish(await person.consent(start.headers.get('location') ?? '', login))
}

function inviteDeps() {
  const { config, clock } = world
  return { db: world.db(), config, clock }
}

describe('SIGN_IN=closed', () => {
  test('lets existing users sign in and refuses new ones, of whom nothing is stored', async () => {
    world = await startWorld()
    await expectSignIn('mara-holt')
    await world.restart(signInWith({ SIGN_IN: 'closed' }))
    await expectSignIn('mara-holt')
    await expectRefusal('tomasz-k', 'SIGN_IN_CLOSED')
    const attempts = await world.db().select().from(signInAttempts).where(eq(signInAttempts.status, 'FAILED'))
    expect(attempts).toMatchObject([{ errorCode: 'SIGN_IN_CLOSED', userId: null, sessionId: null }])
    expect(JSON.stringify(attempts)).not.toContain('tomasz')
    expect(world.logs()).not.toContain('tomasz-k')
  })

  test('knows an existing user by GitHub’s id, under whatever login', async () => {
    world = await startWorld()
    await expectSignIn('mara-holt')
    await world.restart(signInWith({ SIGN_IN: 'closed' }))
    world.sandbox.control.renameGithubPerson('mara-holt', 'mara-new')
    world.sandbox.control.addGithubPerson('mara-holt')
    await expectRefusal('mara-holt', 'SIGN_IN_CLOSED')
    await expectSignIn('mara-new')
  })

  test('repeats the refusal for a repeated callback, without another call to GitHub', async () => {
    world = await startWorld({ SIGN_IN: 'closed' })
    const person = world.browser()
    const start = await person.request('/auth/github')
    const callback = await person.consent(start.headers.get('location') ?? '', 'mara-holt')
    expect(await person.finish(callback)).toMatchObject({ code: 'SIGN_IN_CLOSED' })
    const calls = world.sandbox.control.countReceived()
    expect(await person.finish(callback)).toMatchObject({ code: 'SIGN_IN_CLOSED' })
    expect(world.sandbox.control.countReceived()).toBe(calls)
  })

  test('returns a refused person to the page that they came from, with the code', async () => {
    world = await startWorld({ SIGN_IN: 'closed' })
    const person = world.browser()
    const start = await person.request('/auth/github?returnTo=%2Fsome%2Fpage')
    const { url } = await person.finish(await person.consent(start.headers.get('location') ?? '', 'mara-holt'))
    expect(url.pathname + url.search).toBe('/some/page?signIn=failed&code=SIGN_IN_CLOSED')
  })
})

describe('ALLOWED_GITHUB_LOGINS', () => {
  test('lets only those on the list sign in, in any case, also of existing users', async () => {
    world = await startWorld()
    await expectSignIn('tomasz-k')
    await world.restart(signInWith({ ALLOWED_GITHUB_LOGINS: 'Mara-HOLT, yuki-ito' }))
    await expectSignIn('mara-holt')
    await expectRefusal('tomasz-k', 'SIGN_IN_NOT_ALLOWED')
  })

  test('refuses another person who has taken an allowed login that a user had', async () => {
    world = await startWorld({ ALLOWED_GITHUB_LOGINS: 'mara-holt' })
    await expectSignIn('mara-holt')
    world.sandbox.control.renameGithubPerson('mara-holt', 'mara-new')
    world.sandbox.control.addGithubPerson('mara-holt')
    await expectRefusal('mara-holt', 'SIGN_IN_NOT_ALLOWED')
    await expectRefusal('mara-new', 'SIGN_IN_NOT_ALLOWED')
  })

  test('takes a numeric id, which stays with the person when the login changes', async () => {
    world = await startWorld({ ALLOWED_GITHUB_LOGINS: 'id:58320114' })
    await expectSignIn('mara-holt')
    world.sandbox.control.renameGithubPerson('mara-holt', 'mara-new')
    world.sandbox.control.addGithubPerson('mara-holt')
    await expectSignIn('mara-new')
    await expectRefusal('mara-holt', 'SIGN_IN_NOT_ALLOWED')
  })
})

describe('ALLOWED_GITHUB_ORGS', () => {
  const scopeOf = async () => {
    const start = await world.browser().request('/auth/github')
    return new URL(start.headers.get('location') ?? '').searchParams.get('scope') ?? ''
  }
  const countMembershipCalls = () => world.sandbox.control.countReceived({ path: '/user/memberships/orgs/.*' })

  test('asks GitHub for read:org and for the membership, only when it is set', async () => {
    world = await startWorld({ ALLOWED_GITHUB_LOGINS: 'mara-holt' })
    expect(await scopeOf()).toBe('')
    await expectSignIn('mara-holt')
    expect(countMembershipCalls()).toBe(0)
    await world.restart(signInWith({ ALLOWED_GITHUB_ORGS: 'acme' }))
    expect(await scopeOf()).toBe('read:org')
    world.sandbox.control.setGithubOrganization('Acme', { members: ['mara-holt'], pending: ['yuki-ito'] })
    await expectSignIn('mara-holt')
    expect(countMembershipCalls()).toBe(1)
    await expectRefusal('tomasz-k', 'SIGN_IN_NOT_ALLOWED')
    await expectRefusal('yuki-ito', 'SIGN_IN_NOT_ALLOWED')
  })

  test('is enough in one of several organizations, or beside the list of logins', async () => {
    world = await startWorld({ ALLOWED_GITHUB_ORGS: 'missing,acme', ALLOWED_GITHUB_LOGINS: 'yuki-ito' })
    world.sandbox.control.setGithubOrganization('acme', { members: ['mara-holt'] })
    await expectSignIn('mara-holt')
    await expectSignIn('yuki-ito')
    await expectRefusal('tomasz-k', 'SIGN_IN_NOT_ALLOWED')
  })

  test('says what to do where the organization restricts OAuth apps, unless another allows the person', async () => {
    world = await startWorld({ ALLOWED_GITHUB_ORGS: 'acme other' })
    const { control } = world.sandbox
    control.setGithubOrganization('acme', { members: ['mara-holt'], restrictsApps: true })
    await expectRefusal('mara-holt', 'GITHUB_ORG_ACCESS_RESTRICTED')
    control.setGithubOrganization('other', { members: ['mara-holt'] })
    await expectSignIn('mara-holt')
  })

  test.each([
    ['a redirect, as for a renamed organization', { kind: 'redirect', location: '/organizations/1', status: 301 }],
    ['503', { kind: 'status', status: 503 }],
    ['a page', { kind: 'malformed', body: '<html></html>', contentType: 'text/html' }],
    ['a membership with an error status', { kind: 'status', status: 500, body: { state: 'active' } }],
  ] as const)(
    'a response about one organization that cannot be used (%s) admits nobody, and keeps no member of another one out',
    async (_, fault) => {
      world = await startWorld({ ALLOWED_GITHUB_ORGS: 'renamed acme' })
      world.sandbox.control.setGithubOrganization('acme', { members: ['mara-holt'] })
      world.sandbox.control.inject({ ...fault, match: { path: '/user/memberships/orgs/renamed' }, times: null })
      await expectSignIn('mara-holt')
      await expectRefusal('tomasz-k', 'GITHUB_UNAVAILABLE')
      expect(countMembershipCalls()).toBe(4)
    },
  )

  test('is checked at each sign-in: who has left cannot sign in again', async () => {
    world = await startWorld({ ALLOWED_GITHUB_ORGS: 'acme' })
    world.sandbox.control.setGithubOrganization('acme', { members: ['mara-holt'] })
    await expectSignIn('mara-holt')
    world.sandbox.control.setGithubOrganization('acme', {})
    await expectRefusal('mara-holt', 'SIGN_IN_NOT_ALLOWED')
  })

  test('lets nobody in who is not listed while GitHub does not answer', async () => {
    world = await startWorld({ ALLOWED_GITHUB_ORGS: 'acme', ALLOWED_GITHUB_LOGINS: 'yuki-ito' })
    world.sandbox.control.setGithubOrganization('acme', { members: ['mara-holt'] })
    world.sandbox.control.inject({
      kind: 'status',
      match: { path: '/user/memberships/orgs/acme' },
      status: 503,
      times: 2,
    })
    await expectRefusal('mara-holt', 'GITHUB_UNAVAILABLE')
    await expectSignIn('yuki-ito')
  })
})

describe('SIGN_IN=invite', () => {
  test('needs an invite of new users only, and takes each once', async () => {
    world = await startWorld()
    await expectSignIn('mara-holt')
    await world.restart(signInWith({ SIGN_IN: 'invite' }))
    await expectSignIn('mara-holt')
    await expectRefusal('tomasz-k', 'INVITE_REQUIRED')
    const { url } = await createInvite(inviteDeps(), ACTOR, { note: 'Tomasz', expiresInDays: null })
    // An existing user does not use it up.
    expect(await signInWithInvite(url, 'mara-holt')).toMatchObject({ outcome: 'succeeded' })
    expect(await signInWithInvite(url, 'tomasz-k')).toMatchObject({ outcome: 'succeeded' })
    expect(await world.db().$count(invites)).toBe(0)
    expect(await signInWithInvite(url, 'yuki-ito')).toMatchObject({ outcome: 'failed', code: 'INVITE_INVALID' })
    expect(await world.db().$count(users)).toBe(3)
    await expectSignIn('tomasz-k')
    const secret = new URL(url).searchParams.get('invite') ?? ''
    expect(world.logs()).not.toContain(secret)
  })

  test('gives one of two who follow the link at once a user', async () => {
    world = await startWorld({ SIGN_IN: 'invite' })
    const { url } = await createInvite(inviteDeps(), ACTOR, { note: null, expiresInDays: 1 })
    const outcomes = await Promise.all(['mara-holt', 'tomasz-k'].map((login) => signInWithInvite(url, login)))
    expect(outcomes.map(({ code }) => code).toSorted()).toEqual(['INVITE_INVALID', null])
    expect(await world.db().$count(users)).toBe(2)
  })

  test('refuses an invite that has expired or was revoked, and the sweep deletes it', async () => {
    world = await startWorld({ SIGN_IN: 'invite' })
    const expiring = await createInvite(inviteDeps(), ACTOR, { note: null, expiresInDays: 1 })
    const revoked = await createInvite(inviteDeps(), ACTOR, { note: null, expiresInDays: 1 })
    await revokeInvite(inviteDeps(), ACTOR, revoked.invite.id)
    await expect(revokeInvite(inviteDeps(), ACTOR, revoked.invite.id)).rejects.toThrow('There is no open invite')
    expect(await signInWithInvite(revoked.url, 'mara-holt')).toMatchObject({ code: 'INVITE_INVALID' })
    world.advance(86_401)
    expect(await signInWithInvite(expiring.url, 'mara-holt')).toMatchObject({ code: 'INVITE_INVALID' })
    expect(await world.db().$count(invites)).toBe(1)
    await sweepNow(world)
    expect(await world.db().$count(invites)).toBe(0)
  })

  test('has a limit of open invites, also for two that are created at once', async () => {
    world = await startWorld({ SIGN_IN: 'invite' })
    const row = { userId: OPERATOR_ID, createdBy: 'command:test', expiresAt: new Date(Date.now() + 86_400_000) }
    await world
      .db()
      .insert(invites)
      .values(
        Array.from({ length: MAX_INVITES - 1 }, (_, index) => ({
          ...row,
          secretHash: String(index),
          createdAt: new Date(),
        })),
      )
    const input = { note: null, expiresInDays: null }
    const results = await Promise.allSettled(Array.from({ length: 4 }, () => createInvite(inviteDeps(), ACTOR, input)))
    const codes = results.map((result) => (result.status === 'rejected' ? result.reason.code : null))
    expect(codes.toSorted()).toEqual(['TOO_MANY_INVITES', 'TOO_MANY_INVITES', 'TOO_MANY_INVITES', null])
    expect(await world.db().$count(invites)).toBe(MAX_INVITES)
  })

  test('stores the hash of an invite alone', async () => {
    world = await startWorld({ SIGN_IN: 'invite' })
    const { url } = await createInvite(inviteDeps(), ACTOR, { note: 'for Mara', expiresInDays: null })
    const secret = new URL(url).searchParams.get('invite') ?? ''
    await world.browser().request(`/auth/github?invite=${secret}`)
    const rows = [await world.db().select().from(invites), await world.db().select().from(signInAttempts)]
    expect(JSON.stringify(rows)).not.toContain(secret)
    expect(rows[0]).toMatchObject([{ note: 'for Mara', createdBy: 'command:test' }])
  })

  test.each([
    [{ note: '', expiresInDays: null }, 'INVITE_NOTE_INVALID'],
    [{ note: 'two\nlines', expiresInDays: null }, 'INVITE_NOTE_INVALID'],
    [{ note: null, expiresInDays: 0 }, 'INVITE_EXPIRY_INVALID'],
    [{ note: null, expiresInDays: 1.5 }, 'INVITE_EXPIRY_INVALID'],
    [{ note: null, expiresInDays: 91 }, 'INVITE_EXPIRY_INVALID'],
  ])('refuses the invite %j', async (input, code) => {
    world = await startWorld({ SIGN_IN: 'invite' })
    await expect(createInvite(inviteDeps(), ACTOR, input)).rejects.toMatchObject({ code })
    expect(await world.db().$count(invites)).toBe(0)
  })
})
