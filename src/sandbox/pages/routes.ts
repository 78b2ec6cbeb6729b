import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { Context, Hono } from 'hono'
import { readParameters } from '../parameters.ts'
import { findAccount, findAccountById, type World } from '../world.ts'
import { revokeGrantsOf } from '../x/grants.ts'
import { drawAvatar, drawBanner } from './avatars.ts'
import { respondWithConnectedAppsPage } from './connected-apps.ts'
import { respondWithHomePage } from './home.ts'
import { STYLESHEET } from './stylesheet.ts'
import { respondWithMissingPage, respondWithTimelinePage, respondWithTweetPage } from './timeline.ts'

/** The pages. The path of a tweet is X's, `/username/status/id`. */
export function addPages(app: Hono, world: World): void {
  app.get('/', (c) => respondWithHomePage(c, world))

  app.get('/settings/connected_apps', (c) => respondWithConnectedAppsPage(c, world))
  app.post('/settings/connected_apps', async (c) => {
    const account = findAccount(world, (await readParameters(c.req.raw)).get('account') ?? '')
    if (account === null) return respondWithMissingPage(c)
    revokeGrantsOf(world, account.id)
    return c.redirect('/settings/connected_apps', 303)
  })

  app.get('/assets/sandbox.css', (c) => c.body(STYLESHEET, 200, { 'content-type': 'text/css; charset=utf-8' }))
  app.get('/assets/icon.svg', (c) => respondWithPicture(c, drawAvatar('sandbox', 'S')))
  app.get('/favicon.ico', (c) => c.redirect('/assets/icon.svg', 302))
  app.get('/assets/avatars/x/:file', (c) => {
    const account = findAccountById(world, c.req.param('file').replace(/\.svg$/, ''))
    return account === null ? c.notFound() : respondWithPicture(c, drawAvatar(account.id, account.name))
  })
  app.get('/assets/avatars/github/:file', (c) => {
    const id = c.req.param('file').replace(/\.svg$/, '')
    const person = world.state.github.people.find((known) => String(known.id) === id)
    return person === undefined ? c.notFound() : respondWithPicture(c, drawAvatar(id, person.name ?? person.login))
  })
  app.get('/assets/banners/:file', (c) => {
    const account = findAccountById(world, c.req.param('file').replace(/\.svg$/, ''))
    return account === null ? c.notFound() : respondWithPicture(c, drawBanner(account.id))
  })

  app.get('/assets/media/:id', (c) => {
    const media = world.media.byId.get(c.req.param('id'))
    const mediaType = media?.finalizedAt == null ? null : (media.content?.mediaType ?? null)
    if (media === undefined || mediaType === null) return c.notFound()
    const headers = { 'content-type': mediaType, ...UNTRUSTED_FILE }
    return c.body(Readable.toWeb(createReadStream(world.media.path(media.id))) as ReadableStream, 200, headers)
  })

  app.get('/:username/status/:id', (c) => {
    const tweet = world.tweets.byId.get(c.req.param('id'))
    const author = tweet === undefined || tweet.deleted ? null : findAccountById(world, tweet.accountId)
    if (tweet === undefined || author === null) return respondWithMissingPage(c)
    // X finds a post by its id and redirects to the current handle: links survive a rename.
    if (c.req.param('username') !== author.username) return c.redirect(`/${author.username}/status/${tweet.id}`, 302)
    return respondWithTweetPage(c, world, author, tweet)
  })
  app.get('/:username', (c) => {
    const name = c.req.param('username')
    // A GitHub profile has the same path; the sandbox shows the front page in its place.
    if (world.state.github.people.some(({ login }) => login === name)) return c.redirect('/#on-github', 302)
    const account = findAccount(world, name)
    return account === null ? respondWithMissingPage(c) : respondWithTimelinePage(c, world, account)
  })
}

// What anybody uploaded is shown as a picture or a video, and never as a page.
const UNTRUSTED_FILE = {
  'content-security-policy': "default-src 'none'; sandbox",
  'x-content-type-options': 'nosniff',
  'cache-control': 'private, max-age=3600',
}

function respondWithPicture(c: Context, svg: string) {
  return c.body(svg, 200, {
    'content-type': 'image/svg+xml',
    'content-security-policy': "default-src 'none'",
    'cross-origin-resource-policy': 'cross-origin',
    'cache-control': 'public, max-age=3600',
  })
}
