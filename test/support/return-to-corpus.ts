// Known open-redirect payloads (RFC 9700 section 4.11) in hundreds of spellings.
import { posix } from 'node:path'
import { expect } from 'vitest'

/**
 * Returns texts that may redirect to pages of the gateway or the front end, and to no other site.
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
    // Schemes, complete and truncated.
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
    // Host names that resemble the gateway's.
    ...[`${own}@evil.example`, `${own}:x@evil.example/`, `${own}.evil.example`, `//${host}@evil.example`],
    ...[`https://${host}`, `http://localhost:${port}`, `http://127.0.0.2:${port}`, 'http://127.0.0.1:1'],
    ...[`http://user@${host}`, `http://u:p@${host}/`, `http://evil.example#@${host}`, `http://evil.example\\@${host}`],
    ...[`${frontEnd}.evil.example`, `${frontEnd}@evil.example`, `${frontEnd}:8443`, `http://${front}`],
    ...[`https://u:p@${front}`, `https://sub.${front}`, `https://${front}.`, `https://x${front}`],
    ...[`${frontEnd}\\@evil.example`, `https://evil.example/${frontEnd}`, `https://evil.example?${frontEnd}`],
    // Headers and markup.
    ...['/%0d%0aSet-Cookie:%20x=1', '/\r\nSet-Cookie: x=1', '/\r\nLocation: https://evil.example'],
    ...['/\n\n<script>alert(1)</script>', '/"><script>1</script>', "/';alert(1)//", '/\u2028x', '/\u0085x'],
    // Control characters and broken encodings.
    ...['/\ud800//evil.example', '/💥//evil.example', '?//evil.example', '#//evil.example', '%', '%%', '/%zz'],
    ...['evil.example', '@evil.example', ':evil.example', '/:@evil.example', `/${'a'.repeat(3_000)}`],
    // The gateway's own OAuth routes: a redirect there would start or finish a flow unasked.
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
    // Paths that a proxy in front may turn into these routes, which its rules or the router then
    // see.
    ...['/.//auth/x', '/..//auth/x', '/x/..//auth/x', '//auth/x/..', `${own}//auth/x`, `${own}///auth/x`],
    ...['/x/..%2fauth/x', '/x%2f..%2fauth/x', '/x/%2e%2e%2fauth/x', '/x/..%2f/auth/x', '/..%2fauth/x', '/%2fauth/x'],
    ...[
      '/x/..%5cauth/x',
      '/%5cauth/x',
      '/%5c%5cauth%5cx',
      '/x/..%252fauth/x',
      '/%252e%252e/auth/x',
      '/x/..%25252fauth/x',
    ],
    ...['/x/..;/auth/x', '/x/..;a=b/auth/x', '/x;/../auth/x', '/auth;a=b/x', '/.;/auth/x', '/x/..%3b/auth/x'],
    ...['/AUTH/x', '/Auth/github', '/%41uth/x', '/auth//..%2fx/callback', '/auth/y/..%2fx', '/x/.%2e/auth/github'],
    ...['/./%2e/.%2f/auth/x', '/a/b/..%2f..%2fauth/x/callback?state=x', '/a%2f%2fb/../..//auth/x', '/%2e%2f%2fauth/x'],
  ]
}

/**
 * Expects `location` to be a page of the gateway other than its OAuth routes, or a page of the
 * front end.
 */
export function expectSafeReturn(location: string, given: string, own: string, frontEnd: string): void {
  const shown = JSON.stringify(given)
  const { origin, pathname, username, password } = new URL(location)
  expect([own, frontEnd], shown).toContain(origin)
  expect([username, password], shown).toEqual(['', ''])
  expect(location, shown).toMatch(/^https?:[\x21-\x7e]{2,2200}$/)
  const flows = listReadings(pathname).filter((path) => /^\/auth\//i.test(path))
  expect(origin === own ? flows : [], shown).toEqual([])
}

/**
 * Returns the paths that proxies in front could pass on: decoded up to three times, and each of them
 * with its slashes merged, dots resolved and parameters dropped, in both orders.
 */
function listReadings(pathname: string): string[] {
  const readings = [pathname]
  for (let round = 0; round < 3; round++)
    readings.push((readings.at(-1) ?? '').replaceAll(/%[0-7][0-9a-f]/gi, (byte) => decodeURIComponent(byte)))
  return readings.flatMap((path) => {
    const slashed = path.replaceAll('\\', '/')
    const withoutParameters = slashed.replaceAll(/;[^/]*/g, '')
    // As nginx does, and as a URL is resolved.
    return [slashed, withoutParameters].flatMap((path) => [
      path,
      posix.normalize(path),
      new URL(`http://x${path}`).pathname,
    ])
  })
}
