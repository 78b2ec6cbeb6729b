import { globSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, matchesGlob, sep } from 'node:path'
import { GraphQLSchema } from 'graphql'
import { expect, test } from 'vitest'
import { testFiles } from '../vitest.config.ts'

test('every test file runs in a project', () => {
  const root = join(import.meta.dirname, '../..')
  const found = globSync('test/**/*.test.{ts,js,mjs}', { cwd: root, exclude: ['**/node_modules/**'] })
  const files = found.map((file) => file.split(sep).join('/'))
  const patterns = Object.values(testFiles).flat()
  expect(files.filter((file) => !patterns.some((pattern) => matchesGlob(file, pattern)))).toEqual([])
  expect(files.length).toBeGreaterThan(0)
})

test('graphql is loaded once, for the gateway and its dependencies', () => {
  const required: unknown = createRequire(import.meta.url)('graphql')
  expect(required).toHaveProperty('GraphQLSchema', GraphQLSchema)
})
