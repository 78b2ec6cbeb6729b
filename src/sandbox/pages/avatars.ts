import { createHash } from 'node:crypto'

/** Returns an avatar: initials on a colour that depends on the id. */
export function drawAvatar(id: string, name: string): string {
  const hue = hueOf(id)
  const initials = name
    .split(/[\s_-]+/)
    .map((word) => [...word][0] ?? '')
    .filter((letter) => /[\p{L}\p{N}]/u.test(letter))
    .slice(0, 2)
    .join('')
    .toUpperCase()
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" width="96" height="96"><defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1"><stop stop-color="hsl(${hue} 62% 48%)"/><stop offset="1" stop-color="hsl(${(hue + 38) % 360} 58% 34%)"/></linearGradient></defs><rect width="96" height="96" fill="url(#g)"/><text x="48" y="50" fill="#fff" font-family="system-ui, sans-serif" font-size="38" font-weight="600" text-anchor="middle" dominant-baseline="central">${initials}</text></svg>`
}

/** Returns the banner of a profile. */
export function drawBanner(id: string): string {
  const hue = hueOf(id)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 112" preserveAspectRatio="xMidYMid slice"><rect width="600" height="112" fill="hsl(${hue} 45% 62%)"/><circle cx="470" cy="18" r="96" fill="hsl(${(hue + 30) % 360} 55% 70%)"/><path d="M0 86q120-44 240-10t360-18v60H0z" fill="hsl(${(hue + 12) % 360} 42% 50%)"/><path d="M0 104q150-30 300-6t300-12v30H0z" fill="hsl(${hue} 40% 40%)"/></svg>`
}

function hueOf(id: string): number {
  return createHash('sha256').update(id).digest().readUInt16BE(0) % 360
}
