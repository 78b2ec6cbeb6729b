// That the command of the benchmark works; its figures are for an idle machine.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { startProgram } from '../support/program.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

test('npm run bench -- growth measures a small and a smaller database, and prints one table', async () => {
  // The databases lie where those of the tests do: the others would wait for the disk.
  await using directory = await makeTemporaryDirectory('bench')
  const bench = startProgram('test/bench/run.ts', { PATH: process.env.PATH ?? '', TMPDIR: dirname(directory.path) }, [
    'growth',
    ...['--connections', '1000', '--tweets', '3000', '--events', '2000', '--beside', '100'],
    ...['--rounds', '1', '--seconds', '0.5', '--streams', '50'],
  ])
  expect(await bench.ended, bench.output()).toBe(0)
  const rows = bench
    .output()
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split('|').map((cell) => cell.trim()))
  const [titles, , ...figures] = rows
  expect(titles).toEqual(['', 'figure (median)', '100 connections', '1,000 connections', 'ratio', ''])
  const names = figures.map(([, name]) => name)
  expect(names).toEqual(
    expect.arrayContaining([
      'requests/s: connectedAccounts',
      'ms: sweepTweets',
      'idle refreshes a minute',
      'commits/s: an UPDATE and an event',
      'commits/s: an UPDATE and a bare INSERT',
      'statements/s: 50 idle streams',
    ]),
  )
  for (const [, name, small, large] of figures) {
    expect(Number(small?.replaceAll(',', '')), name).toBeGreaterThanOrEqual(0)
    expect(Number(large?.replaceAll(',', '')), name).toBeGreaterThanOrEqual(0)
  }
  // Three statements each ten seconds, whatever the number of streams.
  const [, , ...idle] = figures.find(([, name]) => name === 'statements/s: 50 idle streams') ?? []
  for (const rate of idle.slice(0, 2)) expect(Number(rate)).toBeLessThanOrEqual(1)
  const [, , ...refreshes] = figures.find(([, name]) => name === 'idle refreshes a minute') ?? []
  for (const rate of refreshes.slice(0, 2)) expect(Number(rate.replaceAll(',', ''))).toBeGreaterThan(0)
})

test('the servers of the benchmark end when it is killed', async () => {
  const program = `
    const { startServer } = await import('./test/bench/server-process.ts')
    console.log('pid ' + (await startServer('provider-stub.ts', {})).pid)
    setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(parent, 'close')
  let output = ''
  for await (const chunk of parent.stdout) {
    output += chunk
    if (output.includes('\n')) break
  }
  const pid = Number(/^pid (\d+)$/m.exec(output)?.[1])
  const isRunning = () => existsSync(`/proc/${pid}`)
  expect([pid > 0, isRunning()]).toEqual([true, true])
  parent.kill('SIGKILL')
  await ended
  await expect.poll(isRunning, { timeout: 20_000 }).toBe(false)
})
