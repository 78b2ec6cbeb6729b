// Environments for the tests of the configuration.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { ConfigError, parseConfig } from '../../src/config/config.ts'
import { makeTemporaryDirectory, type TemporaryDirectory } from './temporary-directory.ts'

/** A secret that no message may contain. */
export const SECRET = 'hunter2-hunter2-hunter2'

/** Returns an encryption key as ENCRYPTION_KEYS takes it. */
export function newKey(id = 'k1'): string {
  return `${id}:${randomBytes(32).toString('base64')}`
}

/** Returns the environment of a gateway in production, complete but for DATA_DIR. */
export function production(): Record<string, string> {
  return {
    NODE_ENV: 'production',
    PUBLIC_URL: 'https://gateway.example.com',
    DATABASE_URL: `postgres://gateway:${SECRET}@db.example.com/gateway`,
    ENCRYPTION_KEYS: newKey(),
    GITHUB_CLIENT_ID: 'github-app',
    GITHUB_CLIENT_SECRET: SECRET,
    X_CLIENT_ID: 'x-app',
    X_CLIENT_SECRET: SECRET,
  }
}

/** Creates a directory before the tests of a file, and removes it after them. */
export function prepareDataDirectories() {
  let directory: TemporaryDirectory
  let lastNumber = 0
  beforeAll(async () => {
    directory = await makeTemporaryDirectory('config')
  })
  afterAll(() => directory.remove())

  /** Returns the path of a directory that does not exist yet. */
  function newDirectory(): string {
    lastNumber += 1
    return join(directory.path, String(lastNumber))
  }

  /** Returns the reasons why a start with this environment is refused, one sentence each. */
  function problemsOf(environment: Record<string, string | undefined>): string[] {
    try {
      parseConfig({ DATA_DIR: newDirectory(), ...environment })
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      expect(error.message).not.toContain(SECRET)
      return error.message
        .split('\n')
        .filter((line) => line.startsWith('  - '))
        .map((line) => line.slice(4))
    }
    return []
  }

  return { newDirectory, problemsOf }
}
