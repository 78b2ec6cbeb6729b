import type { Context } from 'hono'
import { html } from 'hono/html'

export type PageContent = ReturnType<typeof html>

/** The frame of every page. No scripts and nothing from elsewhere: the policy says so to the browser. */
export function answerPage(
  c: Context,
  page: { title: string; provider: 'x' | 'github' | 'sandbox'; body: PageContent; status?: 200 | 400 | 404 },
) {
  c.header(
    'content-security-policy',
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'",
  )
  c.header('referrer-policy', 'no-referrer')
  c.header('cache-control', 'no-store')
  return c.html(
    html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${page.title}</title>
<link rel="stylesheet" href="/assets/sandbox.css">
</head>
<body class="${page.provider}">
${page.body}
</body>
</html>`,
    page.status ?? 200,
  )
}
