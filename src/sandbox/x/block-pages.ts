/**
 * Responses that do not come from X: of the content network in front of it, or of a proxy of the
 * client's network.
 */
export const BLOCK_PAGES = {
  cloudflare: page(403, 'Attention Required! | Cloudflare', 'Sorry, you have been blocked', { server: 'cloudflare' }),
  'cloudflare-challenge': page(403, 'Just a moment...', 'Enable JavaScript and cookies to continue', {
    server: 'cloudflare',
    'cf-mitigated': 'challenge',
  }),
  // A problem document (RFC 9457) that is not X's.
  'cloudflare-json': json(403, {
    type: 'https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/error-1020/',
    title: 'Error 1020: Access denied',
    status: 403,
    detail: 'The site owner has blocked access based on firewall rules.',
    cloudflare_error: true,
  }),
  'access-denied': page(403, 'Access Denied', "You don't have permission to access this on this server."),
  'api-gateway': json(403, { message: 'Forbidden' }),
  'empty-403': { status: 403, headers: {}, body: '' },
  'not-found': page(404, '404 Not Found', 'nginx'),
  'sign-in': page(401, 'Sign in to the network', 'Your session at the proxy has ended.'),
  'proxy-sign-in': page(407, 'Proxy Authentication Required', 'Sign in at the proxy.'),
  timeout: page(408, '408 Request Time-out', "Your browser didn't send a complete request in time."),
  'too-early': { status: 425, headers: {}, body: '' },
  'bad-request': page(400, '400 Bad Request', 'The plain HTTP request was sent to HTTPS port'),
  'payment-page': page(402, 'Payment Required', 'This crawler has to pay.'),
} as const satisfies Record<string, BlockPage>

export type BlockPageName = keyof typeof BLOCK_PAGES

type BlockPage = { status: number; headers: Record<string, string>; body: string }

function page(status: number, title: string, text: string, headers: Record<string, string> = {}): BlockPage {
  const body = `<!DOCTYPE html><html><head><title>${title}</title></head><body><h1>${title}</h1><p>${text}</p></body></html>`
  return { status, headers: { 'content-type': 'text/html; charset=UTF-8', ...headers }, body }
}

function json(status: number, body: Record<string, unknown>): BlockPage {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}
