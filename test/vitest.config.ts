import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const reportFile = process.env.VITEST_REPORT

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
  /** A browser or a second gateway wants the machine for itself. */
  process: ['test/browser/**/*.test.ts', 'test/process/**/*.test.ts'],
}

const config = defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  // graphql refuses two copies of itself. Vite picks its ESM build, Node (for our dependencies) its CommonJS build: both get the latter.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    pool: 'forks',
    // Stories wait more than they compute: two files for each of two cores, each in a process with a PGlite of some 500 MB.
    maxWorkers: 4,
    // As long as a machine that is busy with other things may need; a test that hangs is found all the same.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Nobody is there to try again what a machine that others use has disturbed; the report marks it "retry". At a desk it fails at once.
    retry: process.env.CI === 'true' ? 1 : 0,
    // .ci/run counts from this file; without the variable nothing is written.
    reporters: reportFile ? ['default', 'json'] : ['default'],
    outputFile: reportFile ? { json: reportFile } : {},
    projects: [
      { extends: true, test: { name: 'unit', include: testFiles.unit } },
      {
        extends: true,
        test: {
          name: 'pglite',
          include: testFiles.stories,
          // Each story makes a world of its own: the modules need not be loaded anew for each, which takes as long as the stories.
          isolate: false,
          provide: { databaseKind: 'pglite' },
          globalSetup: 'test/support/pglite-setup.ts',
        },
      },
      {
        extends: true,
        test: {
          name: 'postgres',
          include: testFiles.stories,
          isolate: false,
          provide: { databaseKind: 'postgres' },
          globalSetup: 'test/support/postgres-setup.ts',
        },
      },
      {
        extends: true,
        test: {
          name: 'process',
          include: testFiles.process,
          provide: { databaseKind: 'postgres' },
          globalSetup: ['test/support/postgres-setup.ts', 'test/support/pglite-setup.ts'],
          // After everything else, and fewer at a time.
          maxWorkers: 2,
          // A browser on a machine that is busy with other things loses a click now and then; the report counts what was tried again.
          retry: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})

// biome-ignore lint/style/noDefaultExport: where vitest looks for it.
export default config
