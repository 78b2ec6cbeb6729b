import type { Context } from 'hono'
import { html } from 'hono/html'
import { respondWithPage } from './layout.ts'

export type ConsentChoice = { value: string; title: string; handle: string; avatarUrl: string; badges: string[] }

type ConsentPage = {
  provider: 'x' | 'github'
  appHost: string
  scopes: string[]
  /** The message after an invalid form; null before. */
  complaint: string | null
  choices: ConsentChoice[]
}

// The texts of X's consent page. Scopes without one are shown by name.
const SCOPE_TEXTS: Record<string, string> = {
  'tweet.read': 'See every post that you can see',
  'tweet.write': 'Post and repost for you',
  'users.read': 'See every account that you can see',
  'offline.access': 'Stay connected until you revoke its access',
  'media.write': 'Upload photos and videos for you',
  'user:email': 'Read your e-mail addresses',
  'read:user': 'Read your profile',
}

/**
 * The consent page: who signs in, and whether the app is authorized. A script posts the same
 * fields, `decision` and `account`.
 */
export function respondWithConsentPage(c: Context, page: ConsentPage) {
  const name = page.provider === 'x' ? 'X' : 'GitHub'
  const powers = page.scopes.map((scope) => SCOPE_TEXTS[scope] ?? scope)
  const title =
    page.provider === 'x' ? `${page.appHost} wants to access your X account` : `Sign in to ${page.appHost} with GitHub`
  return respondWithPage(c, {
    title: `${title} · ${name} sandbox`,
    provider: page.provider,
    layout: 'consent',
    status: page.complaint === null ? 200 : 400,
    body: html`<form class="card stack" method="post">
<div class="lead">
<span class="mark" aria-hidden="true">${page.provider === 'x' ? 'X' : 'GH'}</span>
<h1>${title}</h1>
</div>
${page.complaint === null ? '' : html`<p class="complaint" role="alert" id="complaint">${page.complaint}</p>`}
<fieldset>
<legend>${page.provider === 'x' ? 'Which account are you?' : 'Who are you?'}</legend>
<p class="soft small hint">${hintFor(page.provider)}</p>
<div class="choices">
${page.choices.map((choice, index) => radioCard(choice, index === 0))}
</div>
</fieldset>
${page.provider === 'x' ? newAccountField() : ''}
<div>
<h2 class="label">The app will be able to</h2>
<ul class="powers">${(powers.length === 0 ? ['See your public profile'] : powers).map((power) => html`<li>${power}</li>`)}</ul>
</div>
<div class="actions">
<button class="button primary" name="decision" value="approve">${page.provider === 'x' ? 'Authorize app' : 'Authorize'}</button>
<button class="button" name="decision" value="deny" formnovalidate>Cancel</button>
</div>
<p class="soft small">Either way you go back to <b>${page.appHost}</b>.</p>
</form>`,
  })
}

/** The provider's error page, shown in place of a redirect to the app. */
export function respondWithErrorPage(
  c: Context,
  page: { provider: 'x' | 'github'; title: string; sentence: string; detail: string },
) {
  return respondWithPage(c, {
    title: `${page.title} · ${page.provider === 'x' ? 'X' : 'GitHub'} sandbox`,
    provider: page.provider,
    layout: 'consent',
    status: 400,
    body: html`<div class="card stack">
<div class="stack tight">
<h1>${page.title}</h1>
<p>${page.sentence}</p>
</div>
<div class="detail small">
<h2 class="small">What the real one would not tell you</h2>
<p>${page.detail}</p>
</div>
</div>`,
  })
}

function hintFor(provider: 'x' | 'github'): string {
  return provider === 'x'
    ? 'The real X asks nothing here: it takes whichever account your browser is signed in to. The sandbox lets you choose.'
    : 'The real GitHub takes the account your browser is signed in to. The sandbox lets you choose.'
}

function radioCard(choice: ConsentChoice, checked: boolean) {
  return html`<label class="choice">
<img class="avatar" src="${choice.avatarUrl}" alt="" width="40" height="40">
<span class="who"><span><b>${choice.title}</b>${choice.badges.map((badge) => html` <span class="badge ${badge === 'Suspended' || badge === 'Locked' ? 'bad' : ''}">${badge}</span>`)}</span><span class="soft small">${choice.handle}</span></span>
<input type="radio" name="account" value="${choice.value}"${checked ? ' checked' : ''}>
</label>`
}

function newAccountField() {
  return html`<div>
<label class="label small" for="new_account">Or create an account</label>
<div class="field"><span aria-hidden="true">@</span><input id="new_account" name="new_account" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="15" pattern="[A-Za-z0-9_]{1,15}" aria-describedby="new_account_hint"></div>
<p class="soft small hint" id="new_account_hint">A username typed here makes an account and is used instead of the choice above. Letters, digits and underscores, up to 15.</p>
</div>`
}
