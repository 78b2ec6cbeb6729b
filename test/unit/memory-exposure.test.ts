import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { findExposingOptions } from '../../src/process/node-flags.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

describe('E-09 an option that exposes the memory of the process', () => {
  test.each<[options: string[], nodeOptions: string | undefined, found: string[]]>([
    [['--inspect'], undefined, ['--inspect']],
    [['--inspect-brk=0.0.0.0:9229', '--no-warnings'], '', ['--inspect-brk']],
    [[], '--max-old-space-size=400 --report-on-fatalerror', ['--report-on-fatalerror']],
    [[], '--report_on_signal  "--heapsnapshot-signal=SIGUSR2"', ['--report-on-signal', '--heapsnapshot-signal']],
    [['--heap-prof', '--abort-on-uncaught-exception'], undefined, ['--heap-prof', '--abort-on-uncaught-exception']],
    [['--report-uncaught-exception'], '--report-uncaught-exception', ['--report-uncaught-exception']],
    [['--tls-keylog=/tmp/keys', '--trace-tls'], undefined, ['--tls-keylog', '--trace-tls']],
    [['--disable-warning=ExperimentalWarning', '--import', './inspect.js'], '--enable-source-maps', []],
  ])('is found in %j and NODE_OPTIONS=%j', (options, nodeOptions, found) => {
    expect(findExposingOptions(options, { NODE_OPTIONS: nodeOptions })).toEqual(found)
  })

  test('is found in NODE_DEBUG with any value', () => {
    expect(findExposingOptions(['--inspect'], { NODE_DEBUG: 'http' })).toEqual(['--inspect', 'NODE_DEBUG'])
    expect(findExposingOptions([], { NODE_DEBUG: '' })).toEqual([])
  })

  test.each([
    ['ours', true],
    ['any other', false],
  ])('a report of a process that ran out of memory contains no environment when it is %s', async (_, ours) => {
    await using temporary = await makeTemporaryDirectory('report')
    const { path: directory } = temporary
    const [flags, config] = ['process/node-flags.ts', 'config/config.ts'].map((file) =>
      JSON.stringify(pathToFileURL(join(import.meta.dirname, '../../src', file)).href),
    )
    const code = `
      const { keepEnvironmentOutOfReports } = await import(${flags})
      const { loadEnvironment } = await import(${config})
      if (${ours}) {
        keepEnvironmentOutOfReports()
        if (loadEnvironment().ENCRYPTION_KEYS === undefined) process.exit(0)
      }
      const all = []
      for (;;) all.push(new Array(10_000).fill().map(() => ({})))`
    // Enough memory to strip the types of the module and load it.
    const options = ['--report-on-fatalerror', `--report-directory=${directory}`, '--max-old-space-size=64']
    const { status } = spawnSync(process.execPath, [...options, '--input-type=module', '--eval', code], {
      cwd: directory,
      env: { ENCRYPTION_KEYS: 'a-key-that-nobody-may-see' },
    })
    expect(status).not.toBe(0)
    const [report] = readdirSync(directory).filter((name) => name.startsWith('report.'))
    const text = readFileSync(join(directory, report ?? 'none'), 'utf8')
    expect(text).toContain('javascriptHeap')
    expect(text.includes('a-key-that-nobody-may-see')).toBe(!ours)
    expect(existsSync(join(directory, 'core'))).toBe(false)
  })
})
