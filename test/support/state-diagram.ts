// Reads the text diagram of a state machine from the head comment of a source file: a drawing in
// box characters, then one line for each transition, `FROM → TO   function   meaning`.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const TRANSITION = /^\/\/ +([A-Z]+|any|none) +→ +([A-Z]+) +(\w+) {2,}\S/
// A remark of the drawing, which is neither a state nor a function.
const REMARK = /\([^)]*\)/g

/** The names that a diagram holds; all lists are sorted. */
export type StateDiagram = {
  /** The states of the transition lines. */
  states: string[]
  /** The states and functions of the drawing, each once. */
  drawn: string[]
  /** The functions of the transition lines. */
  transitions: string[]
  /** The top-level functions of the folder. */
  functions: ReadonlySet<string>
}

/** Reads the diagram of `file`, whose transitions are functions of the files of `folder`. */
export function readStateDiagram(file: string, folder: string): StateDiagram {
  const lines = readFileSync(join(ROOT, file), 'utf8').split('\n')
  const head = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith('//')),
  )
  const rows = head.flatMap((line) => {
    const [, from, to, name] = TRANSITION.exec(line) ?? []
    return from !== undefined && to !== undefined && name !== undefined ? [{ from, to, name }] : []
  })
  const first = head.findIndex((line) => /[┌┐└┘]/.test(line))
  const end = head.findIndex((line) => TRANSITION.test(line))
  // The captions above the first box belong to the drawing.
  const start = head.slice(0, first).lastIndexOf('//')
  const drawing = head.slice(start, end).join('\n').replaceAll(REMARK, '')
  const states = rows.flatMap(({ from, to }) => [from, to]).filter((state) => /^[A-Z]+$/.test(state))
  return {
    states: [...new Set(states)].sort(),
    drawn: [...new Set(drawing.match(/\w+/g) ?? [])].sort(),
    transitions: rows.map(({ name }) => name).sort(),
    functions: readFunctions(folder),
  }
}

function readFunctions(folder: string): Set<string> {
  const texts = globSync(`${folder}/*.ts`, { cwd: ROOT }).map((path) => readFileSync(join(ROOT, path), 'utf8'))
  return new Set(
    texts.flatMap((text) =>
      [...text.matchAll(/^(?:export )?(?:async )?function (\w+)/gm)].map(([, name]) => name ?? ''),
    ),
  )
}
