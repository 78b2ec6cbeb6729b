import { globSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findImportProblems, type ImportRule, readImports, type SourceFiles } from '../support/import-rule.ts'

// The features. Each layer may use those below it.
const features = [
  'administration/',
  'tweets/',
  'users/',
  'accounts/',
  'x/',
  'webhooks/',
  'auth/',
  'events/',
  'rate-limit/',
]

/**
 * The layers, which src/README.md lists in one sentence. A new file or folder of src has to be
 * added here.
 */
const rule: ImportRule = {
  layers: [
    { places: ['xconnect.js', 'xconnect-gateway.js'], together: false },
    { places: ['main.ts', 'cli.ts'], together: false },
    { places: ['gateway.ts', 'cli/'], together: false },
    { places: ['app.ts'], together: false },
    { places: ['routes/', 'graphql/', 'console/', 'jobs/'], together: false },
    { places: ['http/'], together: false },
    { places: ['administration/'], together: false },
    { places: ['tweets/', 'users/'], together: false },
    { places: ['accounts/'], together: false },
    { places: ['x/', 'webhooks/'], together: false },
    { places: ['auth/'], together: false },
    { places: ['events/', 'rate-limit/'], together: false },
    { places: ['deps.ts'], together: false },
    { places: ['db/'], together: false },
    { places: ['config/'], together: false },
    {
      places: ['outbound/', 'telemetry/', 'process/', 'crypto.ts', 'printable.ts', 'errors.ts', 'error-codes.ts'],
      together: true,
    },
  ],
  apart: ['sandbox/'],
  exceptions: [
    ['main.ts', 'sandbox/server.ts'],
    ['cli/sandbox.ts', 'sandbox/server.ts'],
  ],
  packages: [
    // These two get no more releases. Each can be replaced in one file.
    { name: 'lucia', importers: ['auth/session.ts'] },
    { name: '@lucia-auth/*', importers: ['auth/session.ts'] },
    { name: 'arctic', importers: ['auth/oauth-client.ts'] },
    { name: 'pg-boss', importers: ['jobs/'] },
    { name: 'undici', importers: ['outbound/'] },
    { name: 'ipaddr.js', importers: ['outbound/webhook-egress.ts'] },
    { name: 'prom-client', importers: ['telemetry/prometheus.ts'] },
    { name: 'pino', importers: ['telemetry/log.ts'] },
    { name: 'tldts', importers: ['config/same-site.ts'] },
    { name: 'sonic-boom', importers: ['telemetry/log-output.ts'] },
    { name: 'postgres', importers: ['db/'] },
    { name: '@electric-sql/*', importers: ['db/'] },
    // The edges contain no SQL.
    { name: 'drizzle-orm', importers: ['db/', 'deps.ts', 'jobs/', 'cli/doctor.ts', ...features] },
    // The features contain no GraphQL and no HTTP.
    { name: 'graphql', importers: ['graphql/'] },
    { name: 'graphql-yoga', importers: ['graphql/'] },
    { name: '@pothos/*', importers: ['graphql/'] },
    {
      name: 'hono',
      importers: ['app.ts', 'routes/', 'http/', 'console/', 'sandbox/', 'auth/session.ts'],
    },
    { name: '@hono/*', importers: ['gateway.ts', 'sandbox/'] },
    { name: 'dataloader', importers: ['graphql/'] },
    { name: 'tlds', importers: ['tweets/text/', 'sandbox/'] },
    { name: '@twemoji/parser', importers: ['tweets/text/'] },
    { name: 'zod', importers: 'all' },
  ],
  texts: [
    {
      // They hold on one machine of several. Row locks protect what belongs to a user.
      what: 'an advisory lock',
      pattern: /\bpg_(?:try_)?advisory\w+/,
      places: ['db/', 'jobs/lost-jobs.ts'],
    },
    {
      // Where tables are distributed, errors do not name one.
      what: "a constraint's name from an error",
      pattern: /\bconstraint_name\b|\b(?:error|cause)\.constraint\b/,
      places: ['db/'],
    },
    {
      what: 'process.env',
      pattern: /\bprocess\s*(?:\.\s*env\b|\[)|['"]node:process['"]/,
      places: ['config/config.ts', 'sandbox/server.ts'],
    },
    {
      // Secrets are compared by their hashes. Comparisons with null, undefined and numbers are
      // allowed.
      what: 'a secret compared by === or !==, and not by its hash (E-06)',
      pattern:
        /\b[\w.?]*(?:secret|token|verifier|password|signature|cookie|state|authorization)\)? *[!=]==? (?!null|undefined|['"\d])(?=[\w(])|[!=]==? [\w.?]*(?:secret|token|verifier|password|signature|cookie)\b(?!\()/i,
      places: ['sandbox/'],
    },
  ],
}

test('E-06 imports run one way, each dependency has one importer, only config/config.ts reads the environment, and secrets are compared by their hashes only', () => {
  expect(findImportProblems(readSources(), rule)).toEqual([])
})

test('src/README.md lists the layers of the rule, in their order', () => {
  const text = readFileSync(join(import.meta.dirname, '../../src/README.md'), 'utf8')
  const [, sentence = ''] = /^Imports run one way[^`]*`([^`]+)`/m.exec(text) ?? []
  const listed = sentence.split('→').map((names) => names.match(/[\w-]+/g))
  // cli.ts and cli/ have one name.
  const named = new Set<string>()
  const layers = rule.layers.map(({ places }) => {
    const names = places.map((place) => place.replace(/(\.[jt]s|\/)$/, '')).filter((name) => !named.has(name))
    for (const name of names) named.add(name)
    return names
  })
  expect(listed).toEqual(layers)
})

test.each<[string, boolean]>([
  ['if (given === secret)', true],
  ['return expected.clientSecret === given.trim()', true],
  ["if (c.req.header('x') !== token)", true],
  ['row.codeVerifier == verifier', true],
  ['if (token === null) return', false],
  ['attempt.browserHash !== sha256(browserToken)', false],
  ["typeof token === 'string'", false],
])('E-06 %j compares a secret: %s', (text, compared) => {
  expect(rule.texts.filter(({ pattern }) => pattern.test(text))).toHaveLength(compared ? 1 : 0)
})

test('every package that the rule allows is a direct dependency', () => {
  const {
    dependencies,
    optionalDependencies,
  }: Record<string, Record<string, string>> = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
  )
  const names = Object.keys({ ...dependencies, ...optionalDependencies })
  const missing = rule.packages.filter(({ name }) => !names.some((dependency) => matches(dependency, name)))
  expect(missing.map(({ name }) => name)).toEqual([])
})

function matches(dependency: string, name: string): boolean {
  return name.endsWith('*') ? dependency.startsWith(name.slice(0, -1)) : dependency === name
}

function readSources(): SourceFiles {
  const root = join(import.meta.dirname, '../../src')
  const files = globSync('**/*.{ts,js,mjs}', { cwd: root })
  return new Map(files.map((file) => [file.split(sep).join('/'), readFileSync(join(root, file), 'utf8')]))
}

describe('the check of the rule', () => {
  const sound = {
    'main.ts': "import { createApp } from './app.ts'\nawait import('./sandbox/server.ts')\n",
    'app.ts': "import { route } from './http.ts'\n",
    'http.ts': "import { Hono } from 'hono'\nimport { signIn } from './auth/sign-in.ts'\n",
    'auth/sign-in.ts': "import { db } from '../db/client.ts'\nimport { link } from '../x/link.ts'\n",
    'x/link.ts': "import 'node:fs'\n",
    'db/client.ts': "import postgres from 'postgres'\n",
    'config.ts': 'export const home = process.env.HOME\n',
    'sandbox/server.ts': "import { Hono } from 'hono'\n",
  }
  const example: ImportRule = {
    layers: [
      { places: ['main.ts'], together: false },
      { places: ['app.ts'], together: false },
      { places: ['http.ts'], together: false },
      { places: ['auth/', 'x/'], together: true },
      { places: ['db/', 'config.ts'], together: false },
    ],
    apart: ['sandbox/'],
    exceptions: [['main.ts', 'sandbox/server.ts']],
    packages: [
      { name: 'hono', importers: ['http.ts', 'sandbox/'] },
      { name: '@lucia-auth/*', importers: ['auth/'] },
      { name: 'postgres', importers: ['db/'] },
    ],
    texts: [{ what: 'process.env', pattern: /process\.env/, places: ['config.ts'] }],
  }
  const problemsWith = (changes: Record<string, string>) =>
    findImportProblems(new Map(Object.entries({ ...sound, ...changes })), example)

  test('finds no problem in a valid set of files', () => {
    expect(problemsWith({})).toEqual([])
  })

  test.each<[string, Record<string, string>, string]>([
    [
      'an import upward',
      { 'db/client.ts': "import '../auth/sign-in.ts'\n" },
      'db/client.ts → auth/sign-in.ts: imports run downward only.',
    ],
    [
      'a type imported upward',
      { 'db/client.ts': "import type { A } from '../http.ts'\n" },
      'db/client.ts → http.ts: imports run downward only.',
    ],
    [
      'a re-export upward',
      { 'db/client.ts': "export { a } from '../http.ts'\n" },
      'db/client.ts → http.ts: imports run downward only.',
    ],
    [
      'a dynamic import upward',
      { 'x/link.ts': "  const app = await import('../app.ts')\n" },
      'x/link.ts → app.ts: imports run downward only.',
    ],
    [
      'a neighbour of a layer that keeps apart',
      { 'config.ts': "import './db/client.ts'\n" },
      'config.ts → db/client.ts: imports run downward only.',
    ],
    [
      'the gateway importing the sandbox',
      { 'app.ts': "import './sandbox/server.ts'\n" },
      'app.ts → sandbox/server.ts: these two share no code.',
    ],
    [
      'the sandbox importing the gateway',
      { 'sandbox/server.ts': "import '../config.ts'\n" },
      'sandbox/server.ts → config.ts: these two share no code.',
    ],
    [
      'a circle',
      { 'x/link.ts': "import '../auth/sign-in.ts'\n" },
      'auth/sign-in.ts → x/link.ts → auth/sign-in.ts: these import each other in a circle.',
    ],
    [
      'a circle of types',
      { 'x/link.ts': "import type { A } from '../auth/sign-in.ts'\n" },
      'auth/sign-in.ts → x/link.ts → auth/sign-in.ts: these import each other in a circle.',
    ],
    [
      'a circle of types in a place of its own',
      {
        'sandbox/server.ts': "import type { State } from './state.ts'\n",
        'sandbox/state.ts': "import type { Server } from './server.ts'\n",
      },
      'sandbox/server.ts → sandbox/state.ts → sandbox/server.ts: these import each other in a circle.',
    ],
    ['a new file', { 'tweets.ts': '' }, 'tweets.ts has no place in the rule: add it to a layer.'],
    ['a new directory', { 'utils/strings.ts': '' }, 'utils/strings.ts has no place in the rule: add it to a layer.'],
    [
      'a new package',
      { 'db/client.ts': "import { z } from 'zod'\n" },
      'db/client.ts imports zod: the package has no rule.',
    ],
    [
      'a second importer',
      { 'auth/sign-in.ts': "import postgres from 'postgres'\n" },
      'auth/sign-in.ts imports postgres, which only db/ may.',
    ],
    [
      'a path inside a package',
      { 'auth/sign-in.ts': "import 'hono/cookie'\n" },
      'auth/sign-in.ts imports hono/cookie, which only http.ts, sandbox/ may.',
    ],
    [
      'a package of a scope',
      { 'x/link.ts': "import '@lucia-auth/adapter'\n" },
      'x/link.ts imports @lucia-auth/adapter, which only auth/ may.',
    ],
    [
      'a computed import',
      { 'app.ts': 'await import(name)\n' },
      'app.ts imports something computed, which cannot be checked.',
    ],
    [
      'a file that is not there',
      { 'app.ts': "import './gone.ts'\n" },
      'app.ts → gone.ts: there is no such file among the sources.',
    ],
    [
      'a second reader of the environment',
      { 'app.ts': 'if (process.env.CI) {}\n' },
      'app.ts has process.env, which belongs in config.ts.',
    ],
  ])('reports %s', (_what, changes, problem) => {
    expect(problemsWith(changes)).toContain(problem)
  })

  test('reports a rule about a file that does not exist', () => {
    const { 'x/link.ts': _gone, ...left } = { ...sound, 'auth/sign-in.ts': '' }
    expect(findImportProblems(new Map(Object.entries(left)), example)).toEqual([
      'The rule names x/, which does not exist.',
    ])
  })

  test('finds every form of import, and none in comments', () => {
    const text = [
      "import a from './a.ts'",
      "import './b.ts'",
      "import type { C } from './c.ts'",
      'import {',
      '  d,',
      '  type D as E,',
      "} from './d.ts'",
      "import * as e from './e.ts'",
      "export * from './f.ts'",
      "export * as g from './g.ts'",
      'export {',
      '  h,',
      "} from './h.ts'",
      "export type { I } from './i.ts'",
      "type J = import('./j.ts').J",
      "const k = await import('./k.ts')",
      "// import l from './l.ts'",
      " * import('./m.ts')",
      "const n = sql`select * from 'n'`",
      'const here = import.meta.dirname',
    ].join('\n')
    const imports = readImports(text)
    const names = imports.map(({ specifier }) => specifier?.slice(2, -3))
    expect(names.toSorted().join('')).toBe('abcdefghijk')
  })
})
