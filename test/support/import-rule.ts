/**
 * Checks the imports of a set of source files against a rule. Files are names with text, so that
 * the check itself can be tested with an invented set.
 *
 * Imports are matched by pattern: Biome's formatting, which `npm test` checks first, puts each at
 * the start of a line.
 */
import { posix } from 'node:path'

/** Path below the root (`auth/session.ts`) → text. */
export type SourceFiles = ReadonlyMap<string, string>

/** A file (`app.ts`), or a directory with all that is in it (`auth/`). */
export type Place = string

export type ImportRule = {
  /**
   * From the top down. A file may import from lower layers, from its own place, and if `together`
   * from its own layer.
   */
  layers: readonly { places: readonly Place[]; together: boolean }[]
  /** These share no imports with the others, in either direction. */
  apart: readonly Place[]
  /** Exceptions for single files: importer → imported. */
  exceptions: readonly (readonly [string, string])[]
  /**
   * The importers of each package; `*` at the end of a name matches any rest. The first match
   * decides, and a package without a match is refused. `node:` modules are free.
   */
  packages: readonly { name: string; importers: readonly Place[] | 'all' }[]
  /** The places whose text may match a pattern. */
  texts: readonly { what: string; pattern: RegExp; places: readonly Place[] }[]
}

/** Returns one sentence for each violation of the rule. */
export function findImportProblems(files: SourceFiles, rule: ImportRule): string[] {
  const problems: string[] = []
  const edges = new Map<string, string[]>()
  for (const [file, text] of files) {
    if (!findPlace(file, rule)) problems.push(`${file} has no place in the rule: add it to a layer.`)
    const inner: string[] = []
    edges.set(file, inner)
    for (const { specifier } of readImports(text)) {
      if (specifier === null) {
        problems.push(`${file} imports something computed, which cannot be checked.`)
      } else if (specifier.startsWith('.')) {
        const target = posix.join(posix.dirname(file), specifier)
        if (files.has(target)) inner.push(target)
        const problem = judgeFile(file, target, files, rule)
        if (problem) problems.push(problem)
      } else {
        const problem = judgePackage(file, specifier, rule)
        if (problem) problems.push(problem)
      }
    }
    for (const { what, pattern, places } of rule.texts) {
      if (pattern.test(withoutComments(text)) && !isIn(file, places))
        problems.push(`${file} has ${what}, which belongs in ${places.join(', ')}.`)
    }
  }
  problems.push(...findCycles(edges), ...findUnusedRules(files, rule))
  return problems
}

/** One import or re-export. A `null` specifier is computed. */
export type Import = { specifier: string | null }

/** Returns a file's imports: static, type-only, re-exported and dynamic. */
export function readImports(text: string): Import[] {
  const code = withoutComments(text)
  const patterns = [
    /^import\s+(?:(?<clause>[\w$\s{},*]+?)\s+from\s*)?['"](?<specifier>[^'"]+)['"]/gm,
    /^export\s+(?<clause>(?:type\s+)?(?:\*(?:\s+as\s+[\w$]+)?|\{[^}]*\}))\s*from\s*['"](?<specifier>[^'"]+)['"]/gm,
    /(?<![\w$.])(?:import|require)\s*\(\s*(?:['"](?<specifier>[^'"]+)['"]\s*[,)])?/g,
  ]
  return patterns.flatMap((pattern) =>
    [...code.matchAll(pattern)].map(({ groups }) => ({ specifier: groups?.specifier ?? null })),
  )
}

// Whole comment lines only: a "//" within a line may be part of a URL in a string.
function withoutComments(text: string): string {
  return text.replace(/^\s*(?:\/\/|\/\*|\*).*$/gm, '')
}

function judgeFile(file: string, target: string, files: SourceFiles, rule: ImportRule): string | null {
  const arrow = `${file} → ${target}`
  if (!files.has(target)) return `${arrow}: there is no such file among the sources.`
  if (rule.exceptions.some(([from, to]) => from === file && to === target)) return null
  const from = findPlace(file, rule)
  const to = findPlace(target, rule)
  // A missing place is reported already.
  if (!from || !to || from === to) return null
  if (rule.apart.includes(from) || rule.apart.includes(to)) return `${arrow}: these two share no code.`
  const above = findLayer(from, rule)
  const below = findLayer(to, rule)
  if (above < below || (above === below && rule.layers[above]?.together)) return null
  return `${arrow}: imports run downward only.`
}

function judgePackage(file: string, specifier: string, rule: ImportRule): string | null {
  if (specifier.startsWith('node:')) return null
  const entry = rule.packages.find(({ name }) =>
    name.endsWith('*') ? specifier.startsWith(name.slice(0, -1)) : isPackage(specifier, name),
  )
  if (!entry) return `${file} imports ${specifier}: the package has no rule.`
  if (entry.importers === 'all' || isIn(file, entry.importers)) return null
  return `${file} imports ${specifier}, which only ${entry.importers.join(', ')} may.`
}

function isPackage(specifier: string, name: string): boolean {
  return specifier === name || specifier.startsWith(`${name}/`)
}

function isIn(file: string, places: readonly Place[]): boolean {
  return places.some((place) => (place.endsWith('/') ? file.startsWith(place) : file === place))
}

function findPlace(file: string, rule: ImportRule): Place | null {
  const places = [...rule.layers.flatMap((layer) => layer.places), ...rule.apart]
  return places.find((place) => isIn(file, [place])) ?? null
}

function findLayer(place: Place, rule: ImportRule): number {
  return rule.layers.findIndex((layer) => layer.places.includes(place))
}

// Type-only imports count: files that need each other's types are as hard to read apart as others.
function findCycles(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const problems: string[] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string) => {
    const start = path.indexOf(file)
    if (start >= 0) problems.push(`${[...path.slice(start), file].join(' → ')}: these import each other in a circle.`)
    if (start >= 0 || done.has(file)) return
    path.push(file)
    for (const target of edges.get(file) ?? []) visit(target)
    path.pop()
    done.add(file)
  }
  for (const file of edges.keys()) visit(file)
  return problems
}

// A rule about files that no longer exist would silently apply to later ones of that name.
function findUnusedRules(files: SourceFiles, rule: ImportRule): string[] {
  const names = [...files.keys()]
  const places = new Set([
    ...rule.layers.flatMap((layer) => layer.places),
    ...rule.apart,
    ...rule.exceptions.flat(),
    ...rule.packages.flatMap(({ importers }) => (importers === 'all' ? [] : importers)),
    ...rule.texts.flatMap((text) => text.places),
  ])
  const gone = [...places].filter((place) => !names.some((name) => isIn(name, [place])))
  return gone.map((place) => `The rule names ${place}, which does not exist.`)
}
