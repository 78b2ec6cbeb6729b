// The arithmetic and the command line of `npm run bench`, without running it.
import { describe, expect, test } from 'vitest'
import { parseBenchArguments, scenarioNames, serverNames } from '../bench/arguments.ts'
import { formatSummary, summarize } from '../bench/figures.ts'
import { parseStat } from '../bench/processor-time.ts'
import { renderRows } from '../bench/table.ts'

describe('the command line of the benchmark', () => {
  test('without arguments measures every scenario on every server', () => {
    expect(parseBenchArguments([])).toEqual({
      scenarios: [...scenarioNames],
      servers: [...serverNames],
      rounds: 5,
      seconds: 4,
      connections: 32,
    })
  })

  test('always has the limit, with which the others are compared', () => {
    const words = ['viewer', '--servers', 'gateway, mercurius', '--rounds', '3', '--seconds', '2', '--connections', '8']
    expect(parseBenchArguments(words)).toEqual({
      scenarios: ['viewer'],
      servers: ['limit', 'gateway', 'mercurius'],
      rounds: 3,
      seconds: 2,
      connections: 8,
    })
  })

  test('asks for the help', () => {
    expect(parseBenchArguments(['viewer', '--help'])).toBeNull()
  })

  test.each([
    [['gone'], 'There is no scenario gone, only connectedAccounts, '],
    [['--servers', 'gateway,gone'], 'There is no server gone, only limit, gateway, '],
    [['--rounds', '0'], '--rounds must be a whole number from 1.'],
    [['--seconds', '1.5'], '--seconds must be a whole number from 1.'],
    [['--gone'], "Unknown option '--gone'"],
  ])('refuses %j', (words, message) => {
    expect(() => parseBenchArguments(words)).toThrow(message)
  })
})

describe('the figures of the benchmark', () => {
  test('are medians, with the median of the ratios within each round', () => {
    // The second round ran on a machine that was ten times slower.
    const rounds = [{ ms: 3 }, { ms: 30 }, { ms: 4 }]
    const base = [{ ms: 2 }, { ms: 20 }, { ms: 1 }]
    expect(summarize(rounds, base)).toEqual({ ms: { median: 4, ratio: 1.5 } })
  })

  test('have no ratio without a base, or where the base is zero', () => {
    expect(summarize([{ ms: 3 }], [])).toEqual({ ms: { median: 3, ratio: null } })
    expect(summarize([{ ms: 3 }], [{ ms: 0 }])).toEqual({ ms: { median: 3, ratio: null } })
  })

  test('are printed with their ratio', () => {
    expect(formatSummary({ median: 1_234.5, ratio: 1.256 })).toBe('1,235 (1.26 ×)')
    expect(formatSummary({ median: 1.256, ratio: null })).toBe('1.26')
    expect(formatSummary(undefined)).toBe('')
  })

  test('are a table in which a subject may lack a figure of another', () => {
    const base = [{ ms: 2, MB: 10 }]
    const rows = [
      { scenario: 'viewer', subject: 'limit', rounds: base, base: [] },
      { scenario: 'viewer', subject: 'gateway', rounds: [{ ms: 3 }], base },
    ]
    expect(renderRows(rows)).toBe(
      [
        '| scenario | server | ms | MB |',
        '| --- | ---: | ---: | ---: |',
        '| viewer | limit | 2 | 10 |',
        '| viewer | gateway | 3 (1.50 ×) |  |',
      ].join('\n'),
    )
  })
})

test('processor time is read from /proc whatever the name of the program', () => {
  const text = '42 (a (strange) name) S 7 42 42 0 -1 4194560 100 200 0 0 31 12 5 6 20 0 1 0 100 1000 50'
  expect(parseStat(text)).toEqual({ parent: 7, ownTime: 430, endedChildrenTime: 110 })
})
