/**
 * The stylesheet of all pages: light or dark by the browser's setting, without external fonts or
 * images.
 */
export const STYLESHEET = `
:root {
  color-scheme: light dark;
  --page: light-dark(#f4f4f6, #0d0e11);
  --card: light-dark(#ffffff, #17181c);
  --sunken: light-dark(#f6f7f9, #1f2126);
  --line: light-dark(#dfe1e6, #30333a);
  --control-line: light-dark(#868d98, #747b87);
  --text: light-dark(#16181d, #eceef2);
  --soft: light-dark(#596070, #a3aab8);
  --accent: light-dark(#16181d, #eceef2);
  --on-accent: light-dark(#ffffff, #101114);
  --focus: light-dark(#0b63ce, #7ab5ff);
  --link: light-dark(#0b5cbd, #82b8ff);
  --bad: light-dark(#a3162a, #ff9aa5);
  --bad-back: light-dark(#fdeef0, #3a1a20);
  --ribbon: #f4c542;
  --on-ribbon: #2a2000;
  --shadow: 0 1px 2px rgb(0 0 0 / .05), 0 12px 32px -12px rgb(0 0 0 / .18);
}
.github { --accent: light-dark(#1a7f37, #238636); --on-accent: #ffffff; }
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere;
}
a { color: var(--link); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
h1, h2, p, ul, ol, fieldset, figure { margin: 0; padding: 0; }
h1 { font-size: 1.5rem; line-height: 1.25; letter-spacing: -.015em; text-wrap: balance; }
h2 { font-size: 1.0625rem; line-height: 1.35; }
.soft { color: var(--soft); }
.small { font-size: .875rem; }

.ribbon { background: var(--ribbon); color: var(--on-ribbon); font-size: .875rem; line-height: 1.4; }
.ribbon p { max-width: 72rem; margin: auto; padding: .5rem 1rem; display: flex; gap: .625rem; align-items: baseline; justify-content: center; flex-wrap: wrap; text-align: center; }
.ribbon strong { text-transform: uppercase; letter-spacing: .09em; font-size: .75rem; background: var(--on-ribbon); color: var(--ribbon); padding: .1rem .5rem; border-radius: .25rem; }
.ribbon a { color: inherit; }

main { width: min(100% - 2rem, var(--width, 40rem)); margin: 2rem auto 4rem; display: grid; gap: 1.25rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 1rem; padding: 1.5rem; box-shadow: var(--shadow); }
.stack { display: grid; gap: 1.25rem; }
.stack.tight { gap: .375rem; }

.consent { --width: 33rem; }
.lead { display: flex; gap: 1rem; align-items: center; }
.mark { flex: none; width: 3rem; height: 3rem; border-radius: .8rem; display: grid; place-items: center; background: var(--accent); color: var(--on-accent); font-weight: 700; font-size: 1rem; }
fieldset { border: 0; min-width: 0; }
legend, .label { font-weight: 600; padding: 0; margin-bottom: .625rem; }
.hint { margin-bottom: .75rem; }
.field + .hint { margin: .5rem 0 0; }
.choices { display: grid; gap: .375rem; }
.choice { display: flex; align-items: center; gap: .75rem; padding: .5rem .875rem; border: 1px solid var(--line); border-radius: .75rem; cursor: pointer; background: var(--card); }
.choice:hover { background: var(--sunken); }
.choice:has(:checked) { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); background: var(--sunken); }
.choice:has(:focus-visible) { outline: 3px solid var(--focus); outline-offset: 2px; }
.choice input { width: 1.125rem; height: 1.125rem; margin: 0 0 0 auto; flex: none; accent-color: var(--accent); outline: none; }
.avatar { width: 2.5rem; height: 2.5rem; border-radius: 50%; flex: none; display: block; }
.who { display: grid; line-height: 1.3; min-width: 0; }
.who b { font-weight: 600; }
.badge { display: inline-block; font-size: .75rem; line-height: 1.3; font-weight: 600; padding: .05rem .45rem; border-radius: 1rem; border: 1px solid var(--line); color: var(--soft); background: var(--sunken); white-space: nowrap; vertical-align: .08em; margin-left: .25rem; }
.badge.bad { color: var(--bad); background: var(--bad-back); border-color: transparent; }
.field { display: flex; align-items: center; border: 1px solid var(--control-line); border-radius: .75rem; background: var(--card); padding-left: .875rem; color: var(--soft); }
.field:focus-within { outline: 3px solid var(--focus); outline-offset: 1px; }
.field input { font: inherit; color: var(--text); border: 0; outline: 0; background: none; padding: .625rem .875rem .625rem .125rem; width: 100%; min-width: 0; }
.powers { list-style: none; display: grid; gap: .375rem; }
.powers li { padding-left: 1.625rem; position: relative; }
.powers li::before { content: ""; position: absolute; left: .25rem; top: .42em; width: .36rem; height: .68rem; border: solid var(--soft); border-width: 0 2px 2px 0; rotate: 42deg; }
.actions { display: flex; flex-wrap: wrap; gap: .625rem; }
.actions .button { flex: 1 1 8rem; }
.actions .primary { flex-grow: 2; }
.button { font: inherit; font-weight: 600; padding: .6875rem 1.25rem; border-radius: 2rem; border: 1px solid var(--control-line); background: transparent; color: var(--text); cursor: pointer; text-align: center; text-decoration: none; }
.button:hover { background: var(--sunken); }
.button.primary { background: var(--accent); color: var(--on-accent); border-color: var(--accent); }
.button.primary:hover { opacity: .88; }
.button.small { padding: .3125rem .875rem; font-size: .875rem; }
.button.danger { color: var(--bad); border-color: currentcolor; }
.github .button, .github .card, .github .choice, .github .mark { border-radius: .5rem; }
.complaint { background: var(--bad-back); color: var(--bad); padding: .75rem 1rem; border-radius: .75rem; font-weight: 600; }
.detail { background: var(--sunken); border-radius: .5rem; padding: .75rem 1rem; }

.profile { padding: 0; overflow: hidden; }
.profile .banner { height: 7rem; display: block; width: 100%; object-fit: cover; }
.profile .body { padding: 0 1.5rem 1.5rem; display: grid; gap: .75rem; }
.profile .avatar { width: 5.5rem; height: 5.5rem; margin-top: -2.75rem; border: 4px solid var(--card); background: var(--card); }
.feed { list-style: none; padding: 0; overflow: hidden; }
.feed ol { list-style: none; margin: 0; padding: 0; }
.feed h2 { padding: 1.125rem 1.25rem .875rem; border-bottom: 1px solid var(--line); }
.feed .empty { padding: 3rem 1.25rem; }
.feed li + li { border-top: 1px solid var(--line); }
.tweet { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .25rem .75rem; padding: 1rem 1.25rem; }
.tweet .line { display: flex; flex-wrap: wrap; gap: 0 .375rem; align-items: baseline; }
.tweet .line a { text-decoration: none; }
.tweet .line a:not(.soft), .tweet a.name { color: inherit; text-decoration: none; }
.tweet .line a:hover { text-decoration: underline; }
.tweet .text { white-space: pre-wrap; margin-top: .125rem; }
.tweet.large .text { font-size: 1.3125rem; line-height: 1.4; grid-column: 1 / -1; margin-top: .5rem; }
.tweet.large .foot { grid-column: 1 / -1; }
.feed .poll li { border: 1px solid var(--line); }
.media { display: grid; gap: .25rem; margin-top: .625rem; border-radius: .875rem; overflow: hidden; border: 1px solid var(--line); }
.media img, .media video { display: block; width: 100%; min-height: 0; max-height: 32rem; object-fit: cover; background: var(--sunken); }
.media video { aspect-ratio: 16 / 9; }
.media.count-2, .media.count-3, .media.count-4 { grid-template-columns: 1fr 1fr; aspect-ratio: 16 / 9; }
.media.count-2 img, .media.count-3 img, .media.count-4 img { height: 100%; max-height: none; }
.media.count-3, .media.count-4 { grid-template-rows: 1fr 1fr; }
.media.count-3 :first-child { grid-row: span 2; }
.poll { list-style: none; display: grid; gap: .375rem; margin-top: .625rem; }
.poll li { border: 1px solid var(--line); border-radius: .5rem; padding: .375rem .75rem; }
.empty { text-align: center; padding: 3rem 1.5rem; display: grid; gap: .375rem; }
.home { --width: 62rem; }
.home .columns { display: grid; gap: 1.25rem; align-items: start; }
@media (min-width: 52rem) { .home .columns { grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); } }
.rows { list-style: none; display: grid; }
.rows > li { display: flex; align-items: center; gap: .75rem; padding: .625rem 0; }
.rows > li + li { border-top: 1px solid var(--line); }
.rows .who { flex: 1 1 0; }
.rows .end { margin-left: auto; text-align: right; flex: none; }
.rows a.name { color: inherit; font-weight: 600; text-decoration: none; }
.rows a.name:hover { text-decoration: underline; }
nav.crumbs { display: flex; gap: 1.25rem; flex-wrap: wrap; font-size: .9375rem; }
@media (max-width: 30rem) {
  .lead { display: grid; }
  .rows > li:has(.button) { flex-wrap: wrap; }
  .rows > li:has(.button) .who { flex-basis: calc(100% - 3.25rem); }
  .card { padding: 1.125rem; }
  .feed, .profile { padding: 0; }
}
`
