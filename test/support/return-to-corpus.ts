// What has been used to make one site redirect to another (RFC 9700 section 4.11), in hundreds of spellings.
import { expect } from 'vitest'

/**
 * Texts that must lead nowhere but to the gateway's own pages or the front end's, if they lead anywhere.
 * @param own the gateway's origin. @param frontEnd a listed origin.
 */
export function hostileReturns(own: string, frontEnd: string): string[] {
  const spaces = ['', ' ', '\r\n', '\u00a0']
  return spaces.flatMap((space) => targets(own, frontEnd).map((target) => `${space}${target}`))
}

function targets(own: string, frontEnd: string): string[] {
  const { host, port } = new URL(own)
  const front = new URL(frontEnd).host
  return [
    // Hosts written as paths.
    ...['//evil.example', '///evil.example', '////evil.example', '//evil.example:80/', '//evil.example%2f..', '//evil'],
    ...['/\\evil.example', '\\\\evil.example', '\\/evil.example', '/\\/evil.example', '\\evil.example'],
    ...['/\t/evil.example', '/\n/evil.example', '/\r/evil.example', '\t//evil.example', '/%09/evil.example'],
    ...['/..//evil.example', '/.//evil.example', '/x/../..//evil.example', '..//evil.example', './/evil.example'],
    ...['/%2f/evil.example', '/%5cevil.example', '/%2e%2e//evil.example', '/%00//evil.example', '/\0//evil.example'],
    // Schemes, whole and in half.
    ...[
      'https:evil.example',
      'https:/evil.example',
      'https:\\evil.example',
      'http:evil.example',
      'http:\\\\evil.example',
    ],
    ...['https://evil.example', 'HTTPS://EVIL.EXAMPLE/', 'http://evil.example', 'hTtPs://evil%2eexample'],
    ...['https://evil。example', 'http://', 'http://[::1', '//', 'https://2130706433', 'https://0x7f.1'],
    ...['javascript:alert(1)', 'JaVaScRiPt:alert(1)//', 'java\tscript:alert(1)', '\u0001javascript:alert(1)'],
    ...['data:text/html,<script>1</script>', 'vbscript:x', 'file:///etc/passwd', 'about:blank', 'x:y'],
    ...['mailto:a@evil.example', 'intent://evil.example', `ws://${host}`, `ftp://${host}`, `view-source:${own}`],
    ...[`blob:${own}/x`, `blob:${frontEnd}/x`, `filesystem:${own}/x`],
    // Names that resemble ours.
    ...[`${own}@evil.example`, `${own}:x@evil.example/`, `${own}.evil.example`, `//${host}@evil.example`],
    ...[`https://${host}`, `http://localhost:${port}`, `http://127.0.0.2:${port}`, 'http://127.0.0.1:1'],
    ...[`http://user@${host}`, `http://u:p@${host}/`, `http://evil.example#@${host}`, `http://evil.example\\@${host}`],
    ...[`${frontEnd}.evil.example`, `${frontEnd}@evil.example`, `${frontEnd}:8443`, `http://${front}`],
    ...[`https://u:p@${front}`, `https://sub.${front}`, `https://${front}.`, `https://x${front}`],
    ...[`${frontEnd}\\@evil.example`, `https://evil.example/${frontEnd}`, `https://evil.example?${frontEnd}`],
    // Headers and markup.
    ...['/%0d%0aSet-Cookie:%20x=1', '/\r\nSet-Cookie: x=1', '/\r\nLocation: https://evil.example'],
    ...['/\n\n<script>alert(1)</script>', '/"><script>1</script>', "/';alert(1)//", '/\u2028x', '/\u0085x'],
    // What is no text, or hardly.
    ...['/\ud800//evil.example', '/💥//evil.example', '?//evil.example', '#//evil.example', '%', '%%', '/%zz'],
    ...['evil.example', '@evil.example', ':evil.example', '/:@evil.example', `/${'a'.repeat(3_000)}`],
    // The legs of our own round trips: returning there would begin or end one that nobody asked for.
    ...['/auth/x', 'auth/x', './auth/x', '/x/../auth/x', '/auth/github?returnTo=/auth/x', '/auth/x/callback?state=x'],
    ...[
      '/%61uth/x',
      '/auth%2fx',
      '/a%75th/github',
      '/\tauth/x',
      '/au\nth/x',
      '\\auth\\x',
      '/%2e/auth/x',
      `${own}/auth/x`,
    ],
  ]
}

/** Fails unless `location` is a page of ours that is no route of a sign-in or link, or one of the front end's. */
export function expectSafeReturn(location: string, given: string, own: string, frontEnd: string): void {
  const shown = JSON.stringify(given)
  const { origin, pathname, username, password } = new URL(location)
  expect([own, frontEnd], shown).toContain(origin)
  expect([username, password], shown).toEqual(['', ''])
  expect(location, shown).toMatch(/^https?:[\x21-\x7e]{2,2200}$/)
  // As a router reads it, which decodes letters.
  const decoded = pathname.replaceAll(/%[467][0-9a-f]/gi, (letter) => decodeURIComponent(letter))
  if (origin === own) expect(decoded, shown).not.toMatch(/^\/auth\//)
}
