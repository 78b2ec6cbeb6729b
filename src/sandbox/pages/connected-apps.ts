import type { Context } from 'hono'
import { html } from 'hono/html'
import type { Grant } from '../state.ts'
import { findAccountById, type World } from '../world.ts'
import { liveGrants } from '../x/grants.ts'
import { respondWithPage, showTime } from './layout.ts'

/** X's page of connected apps, for all accounts: the person can revoke the app's access here. */
export function respondWithConnectedAppsPage(c: Context, world: World) {
  const grants = liveGrants(world)
  return respondWithPage(c, {
    title: 'Connected apps · X sandbox',
    provider: 'x',
    body: html`<nav class="crumbs" aria-label="Sandbox"><a href="/">Everybody</a></nav>
<div class="stack tight">
<h1>Connected apps</h1>
<p class="soft">Accounts that let the app act for them. After a revocation its tokens stop working at once, and the app finds out at its next call.</p>
</div>
${
  grants.length === 0
    ? html`<div class="card empty"><h2>No account is connected</h2><p class="soft">Link one in the gateway and it appears here.</p></div>`
    : html`<section class="card" aria-label="Connected accounts"><ul class="rows">${grants.map((grant) => grantRow(world, grant))}</ul></section>`
}`,
  })
}

function grantRow(world: World, grant: Grant) {
  const account = findAccountById(world, grant.accountId)
  if (account === null) throw new Error('Bug: a grant without an account')
  const refreshed = ['not refreshed yet', 'refreshed once'][grant.rotations] ?? `refreshed ${grant.rotations} times`
  return html`<li>
<img class="avatar" src="/assets/avatars/x/${account.id}.svg" alt="" width="40" height="40">
<span class="who"><a class="name" href="/${account.username}">${account.name}</a><span class="soft small">@${account.username}</span><span class="soft small">${grant.scopes.join(', ')}</span><span class="soft small">Since ${showTime(grant.grantedAt)}, ${refreshed}</span></span>
<form class="end" method="post"><input type="hidden" name="account" value="${account.username}"><button class="button small danger" aria-label="Revoke access to @${account.username}">Revoke</button></form>
</li>`
}
