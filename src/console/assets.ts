/**
 * The assets of the pages, from a fixed list: no request path reaches the file system. The
 * browser's modules are the TypeScript sources with their types stripped, or in the built package
 * the compiled modules, in the layout of src, so that relative imports work. Modules that need Node
 * are replaced by their values.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire, stripTypeScriptTypes } from 'node:module'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { StartupError } from '../process/startup-error.ts'
import * as textData from '../tweets/text/data.ts'
import * as operations from './operations.ts'

/** The bytes of an asset in one content encoding, with the ETag of these bytes. */
export type Representation = { body: Uint8Array<ArrayBuffer>; etag: string }

/** `gzip` is null where compression does not make the asset smaller. */
export type Asset = { contentType: string; identity: Representation; gzip: Representation | null }

export type Assets = {
  /** The hash of all assets. It is part of their URLs, so that they can be cached for ever. */
  version: string
  /** The assets by their path below /assets/<version>/. */
  files: ReadonlyMap<string, Asset>
}

const sources = path.join(import.meta.dirname, '..')
const page = path.join(import.meta.dirname, 'page')

/** `.ts` in a checkout, `.js` in the built package. */
const MODULE = path.extname(import.meta.filename)

// Modules outside the folder that the page's modules import.
const SHARED_MODULES = ['error-codes', 'tweets/text/length', 'tweets/text/urls', 'tweets/text/punycode']

// Served where GraphiQL is on. The development builds of React would warn about GraphiQL's code.
const LIBRARIES = [
  ['react', 'umd/react.production.min.js'],
  ['react-dom', 'umd/react-dom.production.min.js'],
  ['graphiql', 'graphiql.min.js'],
  ['graphiql', 'graphiql.min.css'],
] as const

const CONTENT_TYPES: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/**
 * Reads, prepares and compresses all assets, so that requests only send bytes.
 * @param graphiql whether GraphiQL's libraries are served too.
 */
export function loadAssets({ graphiql }: { graphiql: boolean }): Assets {
  const files = new Map<string, Asset>()
  const add = (name: string, content: string) => {
    const body = new TextEncoder().encode(content)
    const contentType = CONTENT_TYPES[path.extname(name)]
    if (contentType === undefined) throw new Error(`Bug: ${name} has no content type`)
    files.set(name, { contentType, ...represent(body) })
  }
  const addModule = (name: string) => add(`${name}.js`, readModule(name))
  for (const file of readdirSync(page)) {
    const name = `console/page/${file}`
    if (file.endsWith(MODULE)) addModule(name.slice(0, -MODULE.length))
    else if (path.extname(file) in CONTENT_TYPES) add(name, readFileSync(path.join(page, file), 'utf8'))
  }
  for (const name of SHARED_MODULES) addModule(name)
  add('console/operations.js', writeModule(operations))
  add('tweets/text/data.js', writeModule(textData))
  if (graphiql)
    for (const [library, file] of LIBRARIES)
      add(`${library}/${path.basename(file)}`, readFileSync(findLibrary(library, file), 'utf8'))
  const version = hash(new TextEncoder().encode([...files].map(([name, { identity }]) => name + identity.etag).join()))
  return { version, files }
}

// A strong ETag identifies bytes, so each content encoding has its own (RFC 9110 section 8.8.3.3).
function represent(body: Uint8Array<ArrayBuffer>): Pick<Asset, 'identity' | 'gzip'> {
  const digest = hash(body)
  const compressed = gzipSync(body)
  return {
    identity: { body, etag: `"${digest}"` },
    gzip: compressed.length < body.length ? { body: compressed, etag: `"${digest}-gzip"` } : null,
  }
}

// Types are replaced by blanks, which keeps lines and columns, so that no source map is needed.
function readModule(name: string): string {
  const source = readFileSync(path.join(sources, name + MODULE), 'utf8')
  if (MODULE === '.js') return source
  return stripTypeScriptTypes(source).replace(
    /^(import|\} from|export .* from)(.*['"]\.[^'"]*)\.ts(['"])/gm,
    '$1$2.js$3',
  )
}

/** The source of a module with the same exports, whose values are JSON or regular expressions. */
function writeModule(exports: Readonly<Record<string, unknown>>): string {
  return Object.entries(exports)
    .map(([name, value]) => {
      const json = JSON.stringify(value)
      const { source, flags } = value instanceof RegExp ? value : { source: null, flags: '' }
      return `export const ${name} = ${source === null ? json : `new RegExp(${JSON.stringify(source)}, '${flags}')`}\n`
    })
    .join('')
}

/** @throws StartupError when GraphiQL's libraries, which are optional dependencies, are missing. */
export function assertGraphiqlInstalled(): void {
  try {
    for (const [library, file] of LIBRARIES) findLibrary(library, file)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND')) throw error
    throw new StartupError('GraphiQL is not installed. Set GRAPHIQL=off, or install without --omit=optional.', 78)
  }
}

// The packages do not export their script builds, but they export package.json.
function findLibrary(library: string, file: string): string {
  const manifest = createRequire(import.meta.url).resolve(`${library}/package.json`)
  return path.join(path.dirname(manifest), file)
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url').slice(0, 16)
}
