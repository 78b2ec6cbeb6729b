// An integrator's project as schema/README.md describes it: the published schema and operations,
// the types generated from them, and a program.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { cp, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { codegen } from '@graphql-codegen/core'
import * as documents from '@graphql-codegen/typed-document-node'
import * as operations from '@graphql-codegen/typescript-operations'
import { parse } from 'graphql'
import { z } from 'zod'
import { readDocumentBlock } from './documents/markdown.ts'
import { makeTemporaryDirectory } from './temporary-directory.ts'

const MANUAL = 'schema/README.md'
const root = path.join(import.meta.dirname, '../..')
const plugins = { 'typescript-operations': operations, 'typed-document-node': documents }
const configShape = z.object({
  schema: z.string(),
  documents: z.string(),
  generates: z.object({
    'gateway.ts': z.object({
      plugins: z.array(z.enum(['typescript-operations', 'typed-document-node'])),
      config: z.record(z.string(), z.unknown()),
    }),
  }),
})

export type TypedClient = {
  /** Returns the errors of tsc; empty when there are none. */
  check(program: string): Promise<string>
  /** Returns the program's output, errors included. */
  run(program: string, environment: Record<string, string>): Promise<string>
  [Symbol.asyncDispose](): Promise<void>
}

/** Returns the program of the manual. */
export const readProgram = () => readDocumentBlock(MANUAL, 'ts', "from './gateway.ts'")

/** Creates the project, and generates its types with the codegen.json of the manual. */
export async function makeTypedClient(): Promise<TypedClient> {
  const directory = await makeTemporaryDirectory('client', 'disk')
  const at = (name: string) => path.join(directory.path, name)
  await cp(path.join(root, 'schema'), at('schema'), { recursive: true })
  await symlink(path.join(root, 'node_modules'), at('node_modules'))
  await writeFile(at('package.json'), '{ "type": "module" }')
  await writeFile(
    at('tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        target: 'es2024',
        module: 'nodenext',
        types: ['node'],
        strict: true,
        noEmit: true,
        erasableSyntaxOnly: true,
        verbatimModuleSyntax: true,
        allowImportingTsExtensions: true,
      },
      files: ['hello.ts'],
    }),
  )
  await writeFile(at('gateway.ts'), await generate(directory.path))
  const run = async (command: string, args: string[], environment: NodeJS.ProcessEnv) => {
    const child = spawn(command, args, { cwd: directory.path, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
    const [printed, complaints] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return printed + complaints
  }
  return {
    check: async (program) => {
      await writeFile(at('hello.ts'), program)
      return run(
        process.execPath,
        [path.join(root, 'node_modules/typescript/bin/tsc'), '--pretty', 'false'],
        process.env,
      )
    },
    run: async (program, environment) => {
      await writeFile(at('hello.ts'), program)
      return run(process.execPath, ['--disable-warning=ExperimentalWarning', 'hello.ts'], environment)
    },
    [Symbol.asyncDispose]: () => directory.remove(),
  }
}

// As graphql-codegen does it; its command would need 300 more packages.
async function generate(directory: string): Promise<string> {
  const asked = configShape.parse(JSON.parse(readDocumentBlock(MANUAL, 'json', '"generates"')))
  const read = (file: string) => parse(readFileSync(path.join(directory, file), 'utf8'))
  const { plugins: names, config } = asked.generates['gateway.ts']
  return codegen({
    filename: 'gateway.ts',
    schema: read(asked.schema),
    documents: globSync(asked.documents, { cwd: directory })
      .toSorted()
      .map((file) => ({ location: file, document: read(file) })),
    config,
    plugins: names.map((name) => ({ [name]: {} })),
    pluginMap: plugins,
  })
}
