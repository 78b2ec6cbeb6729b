// Parsers of single environment variables. Each adds a sentence to `problems` instead of throwing,
// so that one start reports everything that is wrong.
import { readFileSync } from 'node:fs'
import type { Remarks } from './remarks.ts'
import { judgeSecretFile } from './secret-file.ts'

/** The environment, as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the variable NAME, or the file that NAME_FILE names; null when neither has a value.
 * @param remarks receives each sentence once, however often the variable is read.
 */
export function readVariable(env: Environment, name: string, { problems, warnings }: Remarks): string | null {
  const value = env[name]?.trim()
  const file = env[`${name}_FILE`]?.trim()
  // `loadEncryptionKeys` reads ENCRYPTION_KEYS_FILE, because it checks the permissions as well.
  if (file && name !== 'ENCRYPTION_KEYS') {
    if (value) problems.push(`${name} and ${name}_FILE are both set: keep one.`)
    try {
      const remarks: Remarks = { problems: [], warnings: [] }
      judgeSecretFile(file, remarks)
      problems.push(...remarks.problems)
      warnings.push(...remarks.warnings.filter((sentence) => !warnings.includes(sentence)))
      return readFileSync(file, 'utf8').trim() || null
    } catch {
      problems.push(`${name}_FILE names ${file}, which cannot be read.`)
    }
  }
  return value || null
}

/** Parses a list separated by commas or white space. */
export function parseList(text: string | null): string[] {
  return (text ?? '').split(/[,\s]+/).filter((entry) => entry !== '')
}

/** Parses a port number; `fallback` when the variable is not set. */
export function parsePort(text: string | null, name: string, fallback: number, problems: string[]): number {
  if (text === null) return fallback
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port
  problems.push(`${name} must be a port number from 0 to 65535.`)
  return fallback
}

/** Parses a number of things from `least` to `most`; `fallback` when the variable is not set. */
export function parseCount(
  text: string | null,
  { name, things, least = 1, most }: { name: string; things: string; least?: number; most: number },
  fallback: number,
  problems: string[],
): number {
  if (text === null) return fallback
  const count = Number(text)
  if (/^\d{1,9}$/.test(text) && count >= least && count <= most) return count
  problems.push(`${name} must be a number of ${things} from ${least} to ${most}.`)
  return fallback
}

/** Parses on or off; `fallback` when the variable is not set. */
export function parseSwitch(text: string | null, name: string, fallback: boolean, problems: string[]): boolean {
  if (text !== null && text !== 'on' && text !== 'off') problems.push(`${name} must be on or off.`)
  return text === null ? fallback : text === 'on'
}

/**
 * Parses an https origin, or an http origin of this machine. Returns it without a trailing slash.
 */
export function parseOrigin(text: string | null, name: string, fallback: string, problems: string[]): string {
  if (text === null) return fallback
  const url = parseHttpUrl(text)
  if (
    url === null ||
    (url.pathname !== '/' && url.pathname !== '') ||
    url.search !== '' ||
    url.hash !== '' ||
    hasCredentials(url)
  ) {
    problems.push(`${name}: "${withoutPassword(text)}" is not an origin such as https://app.example.com.`)
    return fallback
  }
  if (!isSafeTransport(url))
    problems.push(`${name}: "${text}" must be https (http only on 127.0.0.1, localhost or [::1]).`)
  return url.origin
}

/**
 * Parses an https base URL, or an http base URL of this machine. Returns it without a trailing
 * slash.
 */
export function parseBaseUrl(
  get: (name: string) => string | null,
  name: string,
  fallback: string,
  problems: string[],
): string {
  const text = get(name) ?? fallback
  const url = parseHttpUrl(text)
  if (url === null || url.search !== '' || url.hash !== '' || hasCredentials(url))
    problems.push(`${name}: "${withoutPassword(text)}" is not a URL such as ${fallback}.`)
  else if (!isSafeTransport(url))
    problems.push(`${name}: "${text}" must be https (http only on 127.0.0.1, localhost or [::1]).`)
  return text.replace(/\/+$/, '')
}

/** Parses an http or https URL; null when the text is something else. */
export function parseHttpUrl(text: string): URL | null {
  const url = URL.parse(text)
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:') ? url : null
}

function isSafeTransport(url: URL): boolean {
  return (
    url.protocol === 'https:' ||
    ['localhost', '[::1]'].includes(url.hostname) ||
    /^127\.\d+\.\d+\.\d+$/.test(url.hostname)
  )
}
function hasCredentials(url: URL): boolean {
  return url.username !== '' || url.password !== ''
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^/?#]*@/, '//…@')
}
