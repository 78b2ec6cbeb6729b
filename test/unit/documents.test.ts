// The links, files, commands, variables and GraphQL in the documents exist.
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildSchema } from 'graphql'
import { describe, expect, test } from 'vitest'
import { type Commands, findCommandProblems } from '../support/documents/commands.ts'
import { findGraphqlProblems } from '../support/documents/graphql.ts'
import { findLinkProblems } from '../support/documents/links.ts'
import { parseAnchors, parseBlocks } from '../support/documents/markdown.ts'
import { findNameProblems } from '../support/documents/names.ts'
import { findPathProblems, findUnnamedRooms } from '../support/documents/paths.ts'

const root = join(import.meta.dirname, '../..')
const NOT_OURS = ['node_modules', '.git', '.data', 'dist']
const MOST_BYTES_OF_README = 12 * 1024
/** The documents for users of the API, in which every name of GraphQL is one of the schema. */
const API_DOCUMENTS = ['README.md', 'schema/README.md', 'docs/']
/** It is about the APIs of X and GitHub. */
const SANDBOX_DOCUMENT = 'docs/sandbox.md'

const read = (file: string) => readFileSync(join(root, file), 'utf8')
const list = (...patterns: string[]) => globSync(patterns, { cwd: root, exclude: (name) => NOT_OURS.includes(name) })
const readAll = (...patterns: string[]) =>
  list(...patterns)
    .map(read)
    .join('\n')

// `npm run build` makes dist.
const files = new Set([...list('**/*', '.*', '.ci/*'), 'dist'])
const documents = new Map([...files].filter((file) => file.endsWith('.md')).map((file) => [file, read(file)]))
// Entries of earlier releases stay as they were.
documents.set('CHANGELOG.md', documents.get('CHANGELOG.md')?.split(/^## /m).slice(0, 2).join('## ') ?? '')
const isAboutApi = (file: string) => file !== SANDBOX_DOCUMENT && API_DOCUMENTS.some((each) => file.startsWith(each))
const apiDocuments = new Map([...documents].filter(([file]) => isAboutApi(file)))
const { scripts }: { scripts: Record<string, string> } = JSON.parse(read('package.json'))
const readScript = (command: string) => read(command.split(' ').findLast((word) => word.endsWith('.ts')) ?? '')

const one = (text: string) => new Map([['docs/page.md', text]])

describe('links', () => {
  test('lead to a file and a section that exist', () => {
    expect(findLinkProblems(documents, files)).toEqual([])
  })

  const known = new Set(['docs', 'docs/page.md', 'src', 'src/main.ts'])
  test.each<[string, string[]]>([
    ['[a](page.md), [b](../src/main.ts), [c](../src/), [d](#two-words), [e](https://example.com/#x)\n## Two words', []],
    ['[gone](gone.md)', ['docs/page.md: there is no docs/gone.md (gone.md).']],
    ['[from the root](src/main.ts)', ['docs/page.md: there is no docs/src/main.ts (src/main.ts).']],
    ['![a picture](gone.png)', ['docs/page.md: there is no docs/gone.png (gone.png).']],
    ['[a](#gone)\n## Here', ['docs/page.md: docs/page.md has no section #gone.']],
    ['[a](page.md#gone)\n```sh\n# gone\n```', ['docs/page.md: docs/page.md has no section #gone.']],
  ])('are checked in %j', (text, problems) => {
    expect(findLinkProblems(one(text), known)).toEqual(problems)
  })

  test('have the anchors that GitHub derives from headings', () => {
    expect(parseAnchors('# One\n### `two`, “three” & four_5!\n## One\n')).toEqual(['one', 'two-three--four_5', 'one-1'])
  })
})

describe('file names in code', () => {
  test('exist', () => {
    expect(findPathProblems(documents, files)).toEqual([])
  })

  const known = new Set(['docs/page.md', 'src', 'src/main.ts', 'src/db', 'src/db/socket.ts', 'test/unit/text.test.ts'])
  test.each<[string, string[]]>([
    ['`main.ts`, `src/main.ts`, `db/socket.ts`, `db/`, `unit/*.test.ts`, `application/json`, `DATA_DIR/keys`', []],
    ['Saved as `mine.ts`, run `node mine.ts`. `/auth/github`, `60/60`, `https://example.com/a/b`', []],
    ['`gone.ts`', ['docs/page.md: there is no file of the name gone.ts.']],
    ['`src/gone.ts`', ['docs/page.md: there is no src/gone.ts.']],
    ['`gone/`', ['docs/page.md: there is no gone/.']],
    ['`unit/*.spec.ts`', ['docs/page.md: there is no unit/*.spec.ts.']],
    ['```sh\nnode test/gone.ts\n```', ['docs/page.md: there is no test/gone.ts.']],
  ])('are checked in %j', (text, problems) => {
    expect(findPathProblems(one(text), known)).toEqual(problems)
  })

  test('of documents in the sources and in settings exist', () => {
    const sources = list('src/**/*.ts', 'test/**/*.ts', '.env.example', 'schema/schema.graphql')
    const texts = sources.filter((file) => file !== 'test/unit/documents.test.ts').map(read)
    const named = texts.join('\n').match(/\b(?:(?:docs|src|schema|test)\/[\w-]+|SECURITY|CHANGELOG)\.md\b/g)
    expect(named).toContain('docs/operate.md')
    expect([...new Set(named)].filter((file) => !documents.has(file))).toEqual([])
  })

  test.each(['src', 'test'])('and folders directly in %s/ are listed in the layout of its README', (folder) => {
    expect(findUnnamedRooms(documents, folder, files)).toEqual([])
  })

  test('are reported when the layout leaves them out', () => {
    const layout = new Map([['src/README.md', '`main.ts`, [stories](stories/)']])
    const rooms = new Set([
      'src',
      'src/README.md',
      'src/main.ts',
      'src/main.css',
      'src/stories',
      'src/db',
      'src/db/main.ts',
    ])
    expect(findUnnamedRooms(layout, 'src', rooms)).toEqual(['src/main.css', 'src/db'])
  })
})

describe('commands', () => {
  test('are npm scripts and xconnect commands, with options that exist', () => {
    const { stdout: usage, status } = spawnSync(process.execPath, ['src/cli.ts', 'help'], {
      cwd: root,
      encoding: 'utf8',
    })
    expect(status).toBe(0)
    expect(findCommandProblems(documents, { scripts, readScript, usage })).toEqual([])
  })

  test('of the README are those that CI runs', () => {
    const shown = parseBlocks(read('README.md')).map(({ text }) => text.trim())
    expect(shown).toContain('npm ci && npm test')
    const run = read('.ci/run').split('\n')
    expect(run).toContain('npm ci')
    expect(run).toContain('npm test || status=$?')
  })

  const known: Commands = {
    scripts: { test: 'vitest', chaos: 'node chaos.ts' },
    readScript: () => '--seconds N',
    usage: [
      'xconnect: commands',
      '',
      '  xconnect doctor          look, at everything',
      '  xconnect token create --name NAME [--days DAYS]',
      '                           make a token',
      '  xconnect token list      list them',
      '  xconnect hook enable ID, disable ID',
    ].join('\n'),
  }
  test.each<[string, string[]]>([
    ['`npm test`, `npm run chaos`, `npm run -s chaos -- --seconds 1`, `npm ci && npm test`', []],
    ['`xconnect doctor`, `npx xconnect token create --name "a b" --days 3`, `xconnect token create|list`', []],
    [
      '`xconnect hook disable ID`, `xconnect help`, `xconnect token --help`, `xconnect COMMAND --help`, the command `xconnect`',
      [],
    ],
    ['`npm run gone`', ['docs/page.md: there is no npm script gone.']],
    ['`npm start`', ['docs/page.md: there is no npm script start.']],
    ['```sh\nnpm ci && npm run gone\n```', ['docs/page.md: there is no npm script gone.']],
    ['`npm run chaos -- --gone`', ['docs/page.md: npm run chaos has no --gone.']],
    ['`xconnect gone`', ['docs/page.md: xconnect has no gone.']],
    ['`xconnect token gone`', ['docs/page.md: xconnect token has no gone.']],
    ['`xconnect token list|gone`', ['docs/page.md: xconnect token has no gone.']],
    ['```sh\nTOKEN=$(npx xconnect token create --gone 1)\n```', ['docs/page.md: xconnect token has no --gone.']],
  ])('are checked in %j', (text, problems) => {
    expect(findCommandProblems(one(text), known)).toEqual(problems)
  })
})

describe('variables and codes', () => {
  test('are those of .env.example, of the schema and of the sources', () => {
    const names = {
      environment: read('.env.example'),
      manual: 'docs/operate.md',
      sources: readAll('src/**/*.{ts,js}', 'test/support/**/*.ts', 'schema/schema.graphql'),
      examples: readAll('test/examples/*.ts'),
    }
    // A changelog also has former names.
    const present = new Map([...documents].filter(([file]) => file !== 'CHANGELOG.md'))
    expect(findNameProblems(present, names)).toEqual([])
  })

  const known = {
    environment: '# Where it listens.\n#PORT=3000\nDATA_DIR=.data\n',
    manual: 'docs/page.md',
    sources: "throw new AppError('NOT_FOUND')\nlog.info('A sign-in failed')",
    examples: 'process.env.TOKEN',
  }
  const both = '`PORT`, `DATA_DIR`'
  test.each<[string, string[]]>([
    [`${both}, \`DATA_DIR_FILE\`, \`NOT_FOUND\`\n\`\`\`sh\nPORT=1 DATA_DIR=x TOKEN=x run "$TOKEN"\n\`\`\``, []],
    ['`PORT`', ['docs/page.md does not explain DATA_DIR.']],
    [`${both}, \`GONE=1\``, ['docs/page.md: .env.example has no GONE.']],
    [`${both}\n\`\`\`sh\nPORT=1 GONE=1 run\n\`\`\``, ['docs/page.md: .env.example has no GONE.']],
    [`${both}\n\`\`\`sh\nrun "$GONE"\n\`\`\``, ['docs/page.md: .env.example has no GONE.']],
    [`${both}, \`A sign-in failed\``, []],
    [`${both}, \`A sign-in is gone\``, ['docs/page.md: no source says "A sign-in is gone".']],
    [`${both}, \`IS_GONE\``, ['docs/page.md: nothing is called IS_GONE.']],
  ])('are checked in %j', (text, problems) => {
    expect(findNameProblems(one(text), known)).toEqual(problems)
  })
})

describe('GraphQL', () => {
  test('in blocks, in commands and in text is valid by the published schema', () => {
    expect(findGraphqlProblems(apiDocuments, buildSchema(read('schema/schema.graphql')))).toEqual([])
  })

  const schema = buildSchema(`
    type Query { user(id: ID): User }
    type User { name: String }
    type Mutation { rename(input: RenameInput!): User }
    input RenameInput { name: String }
  `)
  test.each<[string, string[]]>([
    ['```graphql\nmutation { rename(input: { name: "a" }) { name } }\n```', []],
    ['`{ user { name } }`, `user(id:)`, `rename(input: {name: "a"})`, `rename`', []],
    ['```graphql\n{ user { gone } }\n```', ['docs/page.md: Cannot query field "gone" on type "User".']],
    ['```graphql\n{ user {\n```', ['docs/page.md: Syntax Error: Expected Name, found <EOF>.']],
    ['`{ user { gone } }`', ['docs/page.md: Cannot query field "gone" on type "User".']],
    [
      '```sh\ncurl \\\n  -d \'{"query": "{ user { gone } }"}\'\n```',
      ['docs/page.md: Cannot query field "gone" on type "User".'],
    ],
    ['`gone(id:)`', ['docs/page.md: there is no field gone.']],
    ['`user(gone:)`', ['docs/page.md: user has no argument gone.']],
    ['`rename(input: {gone: 1})`', ['docs/page.md: the input of rename has no gone.']],
  ])('is checked in %j', (text, problems) => {
    expect(findGraphqlProblems(one(text), schema)).toEqual(problems)
  })
})

test('the README is short', () => {
  expect(Buffer.byteLength(read('README.md'))).toBeLessThanOrEqual(MOST_BYTES_OF_README)
})
