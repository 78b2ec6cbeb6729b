import type { Context } from 'hono'
import { html } from 'hono/html'
import { answerPage } from './page-layout.ts'

export type ConsentChoice = { value: string; title: string; handle: string; avatarUrl: string; badges: string[] }

export function answerConsentPage(
  c: Context,
  page: {
    provider: 'x' | 'github'
    appHost: string
    scopes: string[]
    complaint: string | null
    choices: ConsentChoice[]
  },
) {
  return answerPage(c, {
    title: 'Authorize',
    provider: page.provider,
    status: page.complaint === null ? 200 : 400,
    body: html`<main><form method="post">${page.choices.map((choice) => html`<label><input type="radio" name="account" value="${choice.value}">${choice.title}</label>`)}
<button name="decision" value="approve">Authorize app</button><button name="decision" value="deny">Cancel</button></form></main>`,
  })
}

export function answerErrorPage(
  c: Context,
  page: { provider: 'x' | 'github'; title: string; sentence: string; detail: string },
) {
  return answerPage(c, {
    title: page.title,
    provider: page.provider,
    status: 400,
    body: html`<main><h1>${page.title}</h1><p>${page.sentence}</p><p>${page.detail}</p></main>`,
  })
}
