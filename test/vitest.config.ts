import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { compileCache, quickResolution } from './support/node-start.ts'

const reportFile = process.env.VITEST_REPORT

// The workers inherit it.
Object.assign(process.env, compileCache)

/** Which test files run where. */
export const testFiles = {
  /** The sandbox, contracts and rules need no database: they run once. */
  unit: [
    'test/unit/**/*.test.ts',
    'test/stress/**/*.test.ts',
    'test/sandbox/**/*.test.ts',
    'test/contract/**/*.test.ts',
  ],
  /** Every story runs on both databases, so that neither is the one that should work too. */
  stories: ['test/stories/**/*.test.ts'],
  /** Tests that start a browser or further processes. */
  process: ['test/browser/**/*.test.ts', 'test/process/**/*.test.ts'],
  /** Tests of what the others have left: they run when all others have ended. */
  statements: ['test/statements/**/*.test.ts'],
}

const config = defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  // graphql refuses two copies of itself. Vite picks its ESM build, Node (for src and the
  // dependencies) its CommonJS build: both get the latter.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    pool: 'forks',
    // Most tests wait more than they compute. A worker with a PGlite takes some 500 MB.
    maxWorkers: 5,
    // Loading the modules for each file anew would take as long as the tests. Each test makes its
    // own world; what else a file may change in the process is restored after it.
    isolate: false,
    setupFiles: ['test/support/tidy-worker.ts', 'test/support/statements/judge-each-file.ts'],
    // Node loads src itself, as in production. Vite would compile it again for each project and
    // worker.
    server: { deps: { external: [/\/src\/.*\.ts$/, /\/node_modules\//] } },
    execArgv: ['--disable-warning=ExperimentalWarning', ...quickResolution],
    // Enough for a machine that runs other programs as well; a test that hangs is still found.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    // A test that passes at the second attempt has a fault, or the product has.
    retry: 0,
    // .ci/run counts from this file; without the variable nothing is written.
    reporters: reportFile ? ['default', 'json'] : ['default'],
    outputFile: reportFile ? { json: reportFile } : {},
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: testFiles.unit, globalSetup: 'test/support/statements/statement-setup.ts' },
      },
      {
        extends: true,
        test: {
          name: 'pglite',
          include: testFiles.stories,
          provide: { databaseKind: 'pglite' },
          globalSetup: ['test/support/pglite-setup.ts', 'test/support/statements/statement-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'postgres',
          include: testFiles.stories,
          provide: { databaseKind: 'postgres' },
          globalSetup: ['test/support/postgres-setup.ts', 'test/support/statements/statement-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'process',
          include: testFiles.process,
          provide: { databaseKind: 'postgres' },
          globalSetup: [
            'test/support/postgres-setup.ts',
            'test/support/pglite-setup.ts',
            'test/support/statements/statement-setup.ts',
          ],
        },
      },
      {
        extends: true,
        test: {
          name: 'statements',
          include: testFiles.statements,
          sequence: { groupOrder: 1 },
          provide: { databaseKind: 'postgres' },
          globalSetup: [
            'test/support/postgres-setup.ts',
            'test/support/pglite-setup.ts',
            'test/support/statements/statement-setup.ts',
          ],
        },
      },
    ],
  },
})

// biome-ignore lint/style/noDefaultExport: where vitest looks for it.
export default config
