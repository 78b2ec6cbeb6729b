import { readFileSync } from 'node:fs'
import path from 'node:path'
import { type Context, Hono } from 'hono'
import { accepts } from 'hono/accepts'
import type { Config } from '../config/config.ts'
import { randomToken } from '../crypto.ts'
import { errorResponse } from '../http/error-response.ts'
import { type Assets, assertGraphiqlInstalled, loadAssets } from './assets.ts'

const ONE_YEAR_SECONDS = 31_536_000

/**
 * The routes of the console at / and of GraphiQL at /graphql, with their assets.
 * @param permissions the scopes of an API token, each with its words for the user.
 */
export function consoleRoutes({ config }: { config: SiteConfig }, permissions: readonly Permission[]): Hono {
  // Loaded by the first request for a page: it takes a tenth of a second, and loads the compiler of
  // TypeScript, which a gateway that only serves programs never needs.
  let loaded: Site | null = null
  if (config.graphiql) assertGraphiqlInstalled()
  const site = () => {
    loaded ??= loadSite(config, permissions)
    return loaded
  }
  const app = new Hono()

  // For every unknown path, also of routes that are mounted later: a browser gets an HTML page.
  app.use(async (c, next) => {
    await next()
    if (c.res.status === 404 && wantsPage(c)) c.res = await c.html(site().missingPage, 404)
  })

  app.get('/', (c) => c.html(site().consolePage))

  app.get('/graphql', (c, next) => {
    // The API's route responds with an error, and with the CORS headers with which a page of a
    // listed origin can read it.
    if (!wantsPage(c)) return next()
    if (!config.graphiql)
      return errorResponse(404, {
        code: 'NOT_FOUND',
        message: 'GraphiQL is switched off. Send queries to /graphql by POST.',
      })
    const nonce = randomToken()
    c.header('content-security-policy', graphiqlPolicy(nonce))
    return c.html(site().graphiqlPage.replace('%nonce%', nonce))
  })

  // The pages name their icon; browsers request this path for responses that are not pages.
  app.get('/favicon.ico', (c) => c.redirect(site().icon, 302))

  app.get('/assets/:version/:name{.+}', (c) => {
    const { version, name } = c.req.param()
    const { assets } = site()
    const asset = assets.files.get(name)
    if (asset === undefined) return c.notFound()
    const encoding = accepts(c, { header: 'Accept-Encoding', supports: ['gzip', 'identity'], default: 'identity' })
    const compressed = encoding === 'gzip' ? asset.gzip : null
    const { body, etag } = compressed ?? asset.identity
    c.header('etag', etag)
    c.header('vary', 'Accept-Encoding')
    // During a rolling deployment an instance can be asked for the assets of the other version.
    c.header(
      'cache-control',
      version === assets.version ? `public, max-age=${ONE_YEAR_SECONDS}, immutable` : 'no-cache',
    )
    if (c.req.header('if-none-match')?.includes(etag)) return c.body(null, 304)
    if (compressed !== null) c.header('content-encoding', 'gzip')
    return c.body(body, 200, { 'content-type': asset.contentType, 'content-length': String(body.length) })
  })
  return app
}

// The same ribbon as on the pages of the sandbox.
function sandboxRibbon(sandboxUrl: string): string {
  const words = 'GitHub and X are simulated on this machine.'
  return `<aside class="ribbon" aria-label="Sandbox"><p><strong>Sandbox</strong> <span>${words} <a href="${sandboxUrl}/">Open the sandbox</a></span></p></aside>`
}

function wantsPage(c: Context): boolean {
  return (c.req.header('accept') ?? '').toLowerCase().includes('text/html')
}

// GraphiQL's stylesheet contains its fonts, and its dialogs add one style element with this nonce.
// Otherwise the policy is that of the other pages, without external images.
function graphiqlPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    'font-src data:',
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')
}

type Permission = { scope: string; words: string }

type SiteConfig = Pick<Config, 'graphiql' | 'sandbox'> & { x: Pick<Config['x'], 'url'> }

type Site = { assets: Assets; icon: string; consolePage: string; graphiqlPage: string; missingPage: string }

function loadSite(config: SiteConfig, permissions: readonly Permission[]): Site {
  const assets = loadAssets(config)
  const root = `/assets/${assets.version}`
  // The console's modules import each other four levels deep. Without preloads each level is loaded
  // after the one before it.
  const preloads = [...assets.files.keys()]
    .filter((name) => /^(console|tweets|error-codes).*\.js$/.test(name) && !name.endsWith('/graphiql.js'))
    .map((name) => `<link rel="modulepreload" href="${root}/${name}">`)
  const boxes = permissions.map(
    ({ scope, words }) => `<label class="check"><input type="checkbox" name="scope" value="${scope}">${words}</label>`,
  )
  const read = (file: string) =>
    readFileSync(path.join(import.meta.dirname, 'page', file), 'utf8')
      .replaceAll('%assets%', root)
      .replace('%preloads%', preloads.join('\n'))
      .replace('%permissions%', boxes.join('\n'))
      .replaceAll('%graphiql%', config.graphiql ? '' : 'hidden')
      .replace('%sandbox%', config.sandbox === null ? '' : sandboxRibbon(config.x.url))
  return {
    assets,
    icon: `${root}/console/page/icon.svg`,
    consolePage: read('index.html'),
    graphiqlPage: read('graphiql.html'),
    missingPage: read('missing.html'),
  }
}
