import type { Context } from 'hono'
import { html } from 'hono/html'

export type PageContent = ReturnType<typeof html>

type Provider = 'x' | 'github' | 'sandbox'

const RIBBON: Record<Provider, string> = {
  x: 'This is a simulated X, running on your machine. Nothing here reaches x.com.',
  github: 'This is a simulated GitHub, running on your machine. Nothing here reaches github.com.',
  sandbox: 'A simulated GitHub and X, running on your machine. Nothing here reaches either.',
}

/**
 * The frame of every page. Its content security policy allows no scripts and no external resources.
 */
export function respondWithPage(
  c: Context,
  page: {
    title: string
    provider: Provider
    layout?: 'consent' | 'home'
    body: PageContent
    status?: 200 | 400 | 404
  },
) {
  // No form-action: Chromium applies it also to the redirect to the app that follows.
  c.header(
    'content-security-policy',
    "default-src 'none'; style-src 'self'; img-src 'self'; media-src 'self'; base-uri 'none'; frame-ancestors 'none'",
  )
  c.header('referrer-policy', 'no-referrer')
  c.header('cache-control', 'no-store')
  return c.html(
    html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${page.title}</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/sandbox.css">
</head>
<body class="${page.provider}">
<header class="ribbon"><p><strong>Sandbox</strong> <span>${RIBBON[page.provider]}</span></p></header>
<main class="${page.layout ?? ''}">
${page.body}
</main>
</body>
</html>`,
    page.status ?? 200,
  )
}

/** `23 Nov 2026, 18:04 UTC` */
export function showTime(milliseconds: number): PageContent {
  const date = new Date(milliseconds)
  const words = date.toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })
  return html`<time datetime="${date.toISOString()}">${words} UTC</time>`
}
