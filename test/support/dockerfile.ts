// Carries out a Dockerfile without a container engine: each stage is a directory in place of the
// root of a file system, and its commands run there as they would run in the image.
import { execFile } from 'node:child_process'
import { cp, mkdir, readdir } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { promisify } from 'node:util'

/** What the last stage of a Dockerfile makes. */
export type Image = {
  /** The directory in place of the root. */
  root: string
  workingDirectory: string
  environment: Record<string, string>
  user: string | null
  healthCheck: string[]
  command: string[]
}

type Instruction = { name: string; words: string }
type Stage = Image & { name: string | null; arguments: Record<string, string> }

/** Returns the instructions, in order. Lines that end with a backslash go on in the next. */
export function parseDockerfile(text: string): Instruction[] {
  const lines = text.replaceAll(/\\\n/g, ' ').split('\n')
  return lines
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', words = ''] = line.match(/^([A-Z]+)\s+(.*)$/) ?? []
      return { name, words: words.trim() }
    })
}

/**
 * Carries the instructions out, in directories below `directory`.
 * @param context the directory that COPY reads, without the names in `ignored`.
 * @param environment of the commands of RUN, below that of the stage.
 * @throws Error for an instruction that this file does not know.
 */
export async function buildImage(
  instructions: readonly Instruction[],
  options: {
    directory: string
    context: string
    ignored: readonly string[]
    environment: Record<string, string>
    /** Takes the part of the base image, whose files are those of this machine. */
    base: string
  },
): Promise<Image> {
  const stages: Stage[] = []
  for (const { name, words } of instructions) {
    const stage = stages.at(-1)
    if (name === 'FROM') {
      const [image, , alias = null] = words.split(/\s+/)
      if (image !== options.base) throw new Error(`The base image ${image} is not ${options.base}.`)
      stages.push(await openStage(join(options.directory, `stage-${stages.length}`), alias))
    } else if (stage === undefined) throw new Error(`${name} comes before FROM.`)
    else if (name === 'WORKDIR') {
      stage.workingDirectory = words
      await mkdir(join(stage.root, words), { recursive: true })
    } else if (name === 'ARG' || name === 'ENV') {
      const [, key = '', value = ''] = words.match(/^(\w+)="?([^"]*)"?$/) ?? []
      if (name === 'ARG') stage.arguments[key] = value
      else stage.environment[key] = value
    } else if (name === 'USER') stage.user = words
    else if (name === 'RUN') await run(stage, words, options.environment)
    else if (name === 'COPY') await copy(stage, words, stages, options)
    else if (name === 'CMD') stage.command = JSON.parse(words)
    else if (name === 'HEALTHCHECK') stage.healthCheck = JSON.parse(words.slice(words.indexOf('[')))
    else if (name !== 'EXPOSE') throw new Error(`The instruction ${name} is not known here.`)
  }
  const last = stages.at(-1)
  if (last === undefined) throw new Error('The Dockerfile has no FROM.')
  return last
}

async function openStage(root: string, name: string | null): Promise<Stage> {
  await mkdir(root, { recursive: true })
  return {
    ...{ root, name, workingDirectory: '/', environment: {}, arguments: {}, user: null },
    ...{ healthCheck: [], command: [] },
  }
}

async function run(stage: Stage, command: string, environment: Record<string, string>): Promise<void> {
  await promisify(execFile)('/bin/sh', ['-c', command], {
    cwd: join(stage.root, stage.workingDirectory),
    env: { ...environment, ...stage.environment, ...stage.arguments },
    maxBuffer: 64 * 1024 * 1024,
  })
}

async function copy(
  stage: Stage,
  words: string,
  stages: readonly Stage[],
  { context, ignored }: { context: string; ignored: readonly string[] },
): Promise<void> {
  const [, from = null, rest = ''] = words.match(/^(?:--from=(\S+)\s+)?(.*)$/) ?? []
  const names = rest.split(/\s+/)
  const target = join(stage.root, posix.resolve(stage.workingDirectory, names.pop() ?? ''))
  const source = from === null ? context : stages.find((each) => each.name === from)?.root
  if (source === undefined) throw new Error(`There is no stage ${from}.`)
  const isDirectory = rest.endsWith('/') && names.every((name) => name !== '.')
  for (const name of names) {
    const path = join(source, name)
    // COPY of a directory copies what is in it.
    if (name === '.') {
      for (const entry of await readdir(path))
        if (!ignored.includes(entry)) await cp(join(path, entry), join(target, entry), { recursive: true })
    } else {
      const to = isDirectory && from === null ? join(target, name) : target
      await mkdir(dirname(to), { recursive: true })
      await cp(path, to, { recursive: true, verbatimSymlinks: true })
    }
  }
}
