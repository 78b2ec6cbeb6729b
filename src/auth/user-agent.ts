// Names the browser of a session by its User-Agent header, so that users recognize it in their
// list. Any client can send any header: nothing else depends on it.

// Browsers also include the names of others for compatibility; the first match is the right one.
const browsers: [RegExp, string][] = [
  [/\bEdg(?:e|A|iOS)?\//, 'Edge'],
  [/\b(?:OPR|OPT|OPiOS|Opera)\b/, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\bVivaldi\//, 'Vivaldi'],
  [/\bYaBrowser\//, 'Yandex Browser'],
  [/\bDuckDuckGo\//, 'DuckDuckGo'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/(?:\b(?:Chromium|Chrome|CriOS)|HeadlessChrome)\//, 'Chrome'],
  [/\bVersion\/[\d.]+ .*\bSafari\//, 'Safari'],
]

const systems: [RegExp, string][] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac(?:intosh| OS X)\b/, 'macOS'],
  [/\b(?:Linux|X11)\b/, 'Linux'],
]

// The headers of browsers have up to about 300 characters.
const MAX_LENGTH = 512

/**
 * Returns the browser and system of a User-Agent header, such as "Chrome on Linux"; null when
 * neither is known.
 */
export function describeDevice(userAgent: string | null): string | null {
  const text = userAgent?.slice(0, MAX_LENGTH) ?? ''
  const named = [findName(browsers, text), findName(systems, text)].filter((name) => name !== null)
  return named.length === 0 ? null : named.join(' on ')
}

function findName(names: [RegExp, string][], userAgent: string): string | null {
  return names.find(([pattern]) => pattern.test(userAgent))?.[1] ?? null
}
