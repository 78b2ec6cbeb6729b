// `npm run build`: writes the package to dist/ or to the directory that is named, with the sources
// compiled to JavaScript, because Node strips no types below node_modules. `npm pack ./dist` makes a
// tarball of it.
import { spawnSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

const root = join(import.meta.dirname, '../..')
const target = resolve(process.argv[2] ?? join(root, 'dist'))

// The folder of the compiled files has the depth of src/, so that paths to drizzle/ and schema/ hold.
const COMPILED = 'lib'
const COPIED = ['schema', 'README.md', 'CHANGELOG.md', 'LICENSE', '.env.example']
const DATA_FILES = 'src/**/*.{patch,css,html,svg}'
// Without the snapshots, from which drizzle-kit generates the next migration.
const MIGRATIONS = ['drizzle/*.sql', 'drizzle/meta/_journal.json']

rmSync(target, { recursive: true, force: true })
const toTarget = ['--outDir', join(target, COMPILED)]
compile('-p', 'src', ...toTarget)
compile(
  '-p',
  'src/console/page',
  ...toTarget,
  '--noEmit',
  'false',
  '--rootDir',
  'src',
  '--rewriteRelativeImportExtensions',
)
for (const file of globSync(DATA_FILES, { cwd: root })) copy(file, file.replace(/^src/, COMPILED))
for (const file of [...globSync(MIGRATIONS, { cwd: root }), ...COPIED]) copy(file, file)
writeManifest()

function compile(...words: string[]): void {
  const { status, stdout } = spawnSync('tsc', words, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`tsc ${words.join(' ')} failed.\n${stdout}`)
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(join(target, to)), { recursive: true })
  cpSync(join(root, from), join(target, to), { recursive: true })
}

function writeManifest(): void {
  const { scripts, devDependencies, allowScripts, bin, ...rest } = JSON.parse(read('package.json'))
  const compiled = Object.entries<string>(bin).map(([name, file]) => [name, file.replace(/^src/, COMPILED)])
  const manifest = {
    ...rest,
    bin: Object.fromEntries(compiled),
    engines: { node: `>=${readNeededNode()}` },
    files: [COMPILED, 'drizzle', ...COPIED],
  }
  writeFileSync(join(target, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

function readNeededNode(): string {
  const [, version] = read('src/process/node-version.js').match(/^const NEEDED = (\d+)$/m) ?? []
  if (version === undefined) throw new Error('Bug: src/process/node-version.js has no NEEDED')
  return version
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}
