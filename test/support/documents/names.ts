import { parseBlocks, parseSpans } from './markdown.ts'

/** A message of the log, which a document quotes. */
const SENTENCE = /^[A-Z][\w'-]*(?: [\w'-]+){2,}$/
const CONSTANT = /\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g

export type Names = {
  /** The text of `.env.example`. */
  environment: string
  /** The document that explains every variable of it. */
  manual: string
  /** The schema and the sources: where codes and states come from. */
  sources: string
  /** Programs for users of the API, which read variables of their own. */
  examples: string
}

/**
 * Returns the environment variables that a document sets and `.env.example` does not have, those of
 * `.env.example` that the manual does not explain, and other names in capitals (codes, states) and
 * messages that no source has.
 */
export function findNameProblems(documents: ReadonlyMap<string, string>, names: Names): string[] {
  const variables = new Set([...names.environment.matchAll(/^#?([A-Z][A-Z0-9_]+)=/gm)].map(([, name = '']) => name))
  const explained = new Set(parseSpans(documents.get(names.manual) ?? ''))
  const known = new Set(`${names.environment}\n${names.sources}\n${names.examples}`.match(CONSTANT))
  const isVariable = (name: string) => variables.has(name) || variables.has(name.replace(/_FILE$/, ''))
  return [
    ...[...variables].filter((name) => !explained.has(name)).map((name) => `${names.manual} does not explain ${name}.`),
    ...[...documents].flatMap(([document, text]) => {
      const programs = [
        names.examples,
        ...parseBlocks(text).map(({ language, text }) => (language === 'sh' ? '' : text)),
      ]
      const isOfProgram = (name: string) => programs.some((program) => program.includes(name))
      const set = readSetVariables(text).filter((name) => !isVariable(name) && !isOfProgram(name))
      const constants = parseSpans(text).flatMap((span) => span.match(CONSTANT) ?? [])
      const unknown = constants.filter((name) => !known.has(name) && !isVariable(name) && !isOfProgram(name))
      const quoted = parseSpans(text).filter((span) => SENTENCE.test(span) && !names.sources.includes(span))
      return [
        ...quoted.map((sentence) => `${document}: no source says "${sentence}".`),
        ...set.map((name) => `${document}: .env.example has no ${name}.`),
        ...unknown.map((name) => `${document}: nothing is called ${name}.`),
      ]
    }),
  ]
}

function readSetVariables(text: string): string[] {
  const blocks = parseBlocks(text).filter(({ language }) => language === 'sh')
  const codes = [...parseSpans(text), ...blocks.map(({ text }) => text)]
  return codes
    .flatMap((code) => [...code.matchAll(/(?:^|[\s$])([A-Z][A-Z0-9_]+)(?==)|\$([A-Z][A-Z0-9_]+)/gm)])
    .map(([, set, read]) => set ?? read ?? '')
}
