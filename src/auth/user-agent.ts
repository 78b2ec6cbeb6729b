// What a User-Agent header says, in the few words by which a person knows a browser of theirs again. It decides nothing: anybody can
// send any.

// Each names itself after those that it wants to be taken for, so that the first that matches is the one.
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

// Those of browsers have up to some 300 characters.
const MAX_READ = 512

/** What sent this User-Agent header, such as "Chrome on Linux"; null when it says nothing that we know. */
export function describeDevice(userAgent: string | null): string | null {
  const read = userAgent?.slice(0, MAX_READ) ?? ''
  const named = [findName(browsers, read), findName(systems, read)].filter((name) => name !== null)
  return named.length === 0 ? null : named.join(' on ')
}

function findName(names: [RegExp, string][], userAgent: string): string | null {
  return names.find(([pattern]) => pattern.test(userAgent))?.[1] ?? null
}
