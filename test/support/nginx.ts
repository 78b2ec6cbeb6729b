/** Starts an installed nginx with a site of this repository, and removes it afterwards. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { vi } from 'vitest'
import { describeMissing, findInstalledProgram } from './installed-program.ts'
import { findServerOwner } from './postgres-cluster.ts'
import { makeTemporaryDirectory } from './temporary-directory.ts'
import type { Certificate } from './tls.ts'

export type Nginx = {
  /** The lines of its log with this level or a higher one. */
  readErrors(): Promise<string>
  [Symbol.asyncDispose](): Promise<void>
}

/** What of `deploy/nginx.conf` an operator changes. */
export type Site = { port: number; certificate: Certificate; instances: readonly string[] }

/**
 * Starts nginx with `deploy/nginx.conf`, in which only the addresses and the paths of the
 * certificate are replaced. `nginx -t` has accepted it before.
 * @throws Error with nginx's log when it does not start.
 */
export async function startNginx({ port, certificate, instances }: Site): Promise<Nginx> {
  const executable = findInstalledProgram('nginx')
  if (executable === null) throw new Error(describeMissing('nginx'))
  await using resources = new AsyncDisposableStack()
  const directory = resources.use(await makeTemporaryDirectory('nginx')).path
  const published = await readFile(join(import.meta.dirname, '../../deploy/nginx.conf'), 'utf8')
  const site = replaceEach(published, [
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ['/etc/ssl/xconnect/fullchain.pem', join(directory, 'fullchain.pem')],
    ['/etc/ssl/xconnect/privkey.pem', join(directory, 'privkey.pem')],
    ...instances.map((address, index): [string, string] => [`gateway-${index + 1}:3000`, address]),
  ])
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(directory, 'temporary')};`,
  )
  const files = {
    'fullchain.pem': certificate.cert,
    'privkey.pem': certificate.key,
    'site.conf': site,
    'nginx.conf': [
      'daemon off;',
      `pid ${join(directory, 'nginx.pid')};`,
      'worker_processes 1;',
      'events { worker_connections 1024; }',
      `http { access_log off; ${temporary.join(' ')} include ${join(directory, 'site.conf')}; }`,
      '',
    ].join('\n'),
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text, { mode: 0o600 })
  await mkdir(join(directory, 'temporary'))
  const owner = await findServerOwner()
  if (owner !== null)
    for (const name of ['', 'temporary', ...Object.keys(files)])
      await chown(join(directory, name), owner.uid, owner.gid)
  await chmod(directory, 0o700)
  const log = join(directory, 'error.log')
  const readErrors = () => readFile(log, 'utf8').catch(() => '')
  const words = ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', log]
  const options = { ...owner, cwd: directory, env: {} }
  await promisify(execFile)(executable, ['-t', ...words], options)
  const child = spawn(executable, words, { ...options, stdio: 'ignore' })
  const ended = once(child, 'exit')
  resources.defer(async () => {
    child.kill('SIGTERM')
    await ended
  })
  await vi.waitFor(
    async () => {
      const response = await fetch(`http://127.0.0.1:${port}`).catch(() => null)
      // nginx refuses plain text on a port for TLS.
      if (response?.status !== 400) throw new Error(`nginx did not start.\n${await readErrors()}`)
    },
    { timeout: 30_000, interval: 20 },
  )
  const kept = resources.move()
  return { readErrors, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

function replaceEach(text: string, changes: readonly (readonly [string, string])[]): string {
  return changes.reduce((changed, [before, after]) => {
    if (!changed.includes(before)) throw new Error(`deploy/nginx.conf has no "${before}".`)
    return changed.replaceAll(before, after)
  }, text)
}
