import type { Context } from 'hono'
import { html } from 'hono/html'
import type { World } from '../world.ts'
import { liveGrants } from '../x/grants.ts'
import { tweetsOf } from '../x/tweet-store.ts'
import { respondWithPage } from './layout.ts'
import { accountBadges, showTweet } from './timeline.ts'

// The timelines have all tweets.
const LATEST_TWEETS = 20

/** The front page: the people, the accounts and the latest tweets. */
export function respondWithHomePage(c: Context, world: World) {
  const connected = new Set(liveGrants(world).map((grant) => grant.accountId))
  const latest = world.state.tweets
    .filter((tweet) => !tweet.deleted)
    .slice(-LATEST_TWEETS)
    .reverse()
  return respondWithPage(c, {
    title: 'The sandbox',
    provider: 'sandbox',
    layout: 'home',
    body: html`<div class="stack tight">
<h1>The sandbox</h1>
<p class="soft">Sign in and connect accounts from the gateway: it redirects you to the consent pages here. A person revokes access on the page <a href="/settings/connected_apps">Connected apps</a>.</p>
</div>
<div class="columns">
<div class="stack">
<section class="card" aria-labelledby="on-x"><h2 id="on-x">On X</h2>
<ul class="rows">${world.state.accounts.map((account) => {
      const count = tweetsOf(world, account.id).length
      return html`<li><img class="avatar" src="/assets/avatars/x/${account.id}.svg" alt="" width="40" height="40">
<span class="who"><span><a class="name" href="/${account.username}">${account.name}</a>${accountBadges(account)}</span><span class="soft small">@${account.username}</span></span>
<span class="end soft small">${connected.has(account.id) ? html`<b>Connected</b><br>` : ''}${count === 1 ? '1 post' : `${count} posts`}</span></li>`
    })}</ul></section>
<section class="card" aria-labelledby="on-github"><h2 id="on-github">On GitHub</h2>
<ul class="rows">${world.state.github.people.map(
      (
        person,
      ) => html`<li><img class="avatar" src="/assets/avatars/github/${person.id}.svg" alt="" width="40" height="40">
<span class="who"><span><b>${person.name ?? person.login}</b></span><span class="soft small">${person.login} · id ${person.id}</span></span></li>`,
    )}</ul></section>
</div>
<section class="card feed" aria-labelledby="latest"><h2 id="latest">Latest posts</h2>
${
  latest.length === 0
    ? html`<div class="empty"><p><b>Nothing posted yet</b></p><p class="soft">Posts of all accounts appear here.</p></div>`
    : html`<ol>${latest.map((tweet) => html`<li>${showTweet(world, tweet)}</li>`)}</ol>`
}
</section>
</div>`,
  })
}
