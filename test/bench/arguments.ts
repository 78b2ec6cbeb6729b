// The command line of the benchmark.
import { parseArgs } from 'node:util'

/** The servers that are compared. All ratios are multiples of the limit's figures. */
export const serverNames = ['limit', 'gateway', 'mercurius', 'apollo', 'yoga', 'better-auth'] as const
export type ServerName = (typeof serverNames)[number]

/** What can be measured, in the order of the table. */
export const scenarioNames = [
  'connectedAccounts',
  'connectedAccountsByToken',
  'viewer',
  'tweets',
  'embedded',
  'postTweet',
  'callback',
  'streams',
  'start',
  'idle',
] as const
export type ScenarioName = (typeof scenarioNames)[number]

export type BenchOptions = {
  scenarios: ScenarioName[]
  servers: ServerName[]
  /** How often each figure is measured; the median is printed. */
  rounds: number
  /** How long a server is loaded in one round. */
  seconds: number
  /** The number of connections that send requests. */
  connections: number
}

/**
 * Parses the arguments; null when the help is wanted.
 * @throws Error for an unknown option, scenario or server, and for a number below 1.
 */
export function parseBenchArguments(words: readonly string[]): BenchOptions | null {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', default: false },
      servers: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '4' },
      connections: { type: 'string', default: '32' },
    },
  })
  if (values.help) return null
  const servers = values.servers?.split(',').map((name) => oneOf(serverNames, name.trim(), 'server')) ?? serverNames
  return {
    scenarios:
      positionals.length === 0 ? [...scenarioNames] : positionals.map((name) => oneOf(scenarioNames, name, 'scenario')),
    // The ratios need the limit.
    servers: [...new Set<ServerName>(['limit', ...servers])],
    rounds: parseCount(values.rounds, 'rounds'),
    seconds: parseCount(values.seconds, 'seconds'),
    connections: parseCount(values.connections, 'connections'),
  }
}

function oneOf<Name extends string>(names: readonly Name[], name: string, what: string): Name {
  const found = names.find((each) => each === name)
  if (found === undefined) throw new Error(`There is no ${what} ${name}, only ${names.join(', ')}.`)
  return found
}

function parseCount(text: string, option: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${option} must be a whole number from 1.`)
  return Number(text)
}
