import { parseBlocks, parseSpans } from './markdown.ts'

export type Commands = {
  /** The scripts of package.json. */
  scripts: Readonly<Record<string, string>>
  /** Returns the source of the file that a script runs. */
  readScript(command: string): string
  /** What `xconnect help` prints. */
  usage: string
}

const NPM_BUILT_IN = ['ci', 'init', 'install', 'pack', 'pkg']
const HELP = 'help'
/** A placeholder for any command, as in "xconnect COMMAND --help". */
const PLACEHOLDER = /^[A-Z]+$/

/**
 * Returns the commands in code of the documents that npm or xconnect does not have, and the options
 * that a command does not have.
 */
export function findCommandProblems(documents: ReadonlyMap<string, string>, commands: Commands): string[] {
  const grammar = parseUsage(commands.usage)
  return [...documents].flatMap(([document, text]) =>
    readCommandLines(text).flatMap((line) =>
      [...findNpmProblems(line, commands), ...findXconnectProblems(line, grammar)].map(
        (problem) => `${document}: ${problem}`,
      ),
    ),
  )
}

function readCommandLines(text: string): string[] {
  const blocks = parseBlocks(text).filter(({ language }) => language === 'sh')
  // The end of a line ends a command, unless it is escaped.
  const lines = blocks.flatMap(({ text }) => text.replaceAll('\\\n', ' ').split(/\n|&&|\$\(/))
  return [...parseSpans(text).flatMap((span) => span.split('&&')), ...lines]
}

function findNpmProblems(line: string, { scripts, readScript }: Commands): string[] {
  const [, verb = '', rest = ''] = line.match(/(?:^|\s)npm ([a-z]+)\b(.*)$/) ?? []
  if (verb === '' || NPM_BUILT_IN.includes(verb)) return []
  const script = verb === 'run' ? rest.match(/^ (?:-s |--silent )?([\w-]+)/)?.[1] : verb
  const command = scripts[script ?? '']
  if (command === undefined) return [`there is no npm script ${script}.`]
  const options = rest.split(' -- ')[1]?.match(/--[a-z-]+/g) ?? []
  if (options.length === 0) return []
  const source = readScript(command)
  // In the usage of the script, or among the options that it parses.
  const isKnown = (option: string) => source.includes(option) || source.includes(`${option.slice(2)}: {`)
  return options.filter((option) => !isKnown(option)).map((option) => `npm run ${script} has no ${option}.`)
}

type Grammar = ReadonlyMap<string, { verbs: ReadonlySet<string>; options: ReadonlySet<string> }>

// A line of the usage is two spaces, the command, and what it does; further verbs of one command
// follow after commas.
function parseUsage(usage: string): Grammar {
  const grammar = new Map<string, { verbs: Set<string>; options: Set<string> }>()
  for (const [, name = '', rest = ''] of usage.matchAll(/^ {2}xconnect (\w+)(.*)$/gm)) {
    const known = grammar.get(name) ?? { verbs: new Set(), options: new Set(['--help']) }
    grammar.set(name, known)
    const [shown = ''] = rest.split(/ {2,}(?! )/)
    for (const [, verb = ''] of shown.matchAll(/(?:^ |, )([a-z]+)(?= |$)/g)) known.verbs.add(verb)
    for (const [option] of shown.matchAll(/--[a-z-]+/g)) known.options.add(option)
  }
  return grammar
}

function findXconnectProblems(line: string, grammar: Grammar): string[] {
  return [...line.matchAll(/(?:^|\s)xconnect ([\w-]+)(?: ([a-z]+(?:\|[a-z]+)*)(?![\w-]))?([^)]*)/g)].flatMap(
    ([, name = '', verbs = '', rest = '']) => {
      if (name === HELP || PLACEHOLDER.test(name)) return []
      const known = grammar.get(name)
      if (known === undefined) return [`xconnect has no ${name}.`]
      const unknown = verbs.split('|').filter((verb) => verb !== '' && !known.verbs.has(verb))
      const options = (rest.match(/--[a-z-]+/g) ?? []).filter((option) => !known.options.has(option))
      return [...unknown, ...options].map((word) => `xconnect ${name} has no ${word}.`)
    },
  )
}
