import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { postgres } from '../../src/db/postgres.ts'
import { startPostgresServer } from '../support/postgres.ts'

test('a crashed server keeps commits, and starts again on the same port', async () => {
  await using server = await startPostgresServer()
  const { url } = await server.createDatabase()
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  await sql`create table kept (id integer)`
  await sql`insert into kept values (1)`
  await server.shutDown('immediate')
  await expect(sql`select 1`).rejects.toThrow()
  await server.start()
  await vi.waitFor(async () => expect(await sql`select id from kept`).toEqual([{ id: 1 }]), { timeout: 30_000 })
  await sql.end()
})

test('a frozen server responds to nothing until it is thawed, and can be removed while frozen', async () => {
  await using server = await startPostgresServer()
  const sql = postgres(server.adminUrl, { max: 1 })
  await sql`select 1`
  await server.freeze()
  const response = sql`select 2 as response`.then((rows) => rows[0])
  expect(await Promise.race([response, sleep(300, 'nothing')])).toBe('nothing')
  await server.thaw()
  expect(await response).toEqual({ response: 2 })
  await sql.end()
  await server.freeze()
  await server.remove()
  expect(existsSync(server.directory)).toBe(false)
})

test('a killed test process leaves neither a server nor files', async () => {
  const script = `
    const { startPostgresServer } = await import(${JSON.stringify(new URL('../support/postgres.ts', import.meta.url).href)})
    const server = await startPostgresServer()
    console.log(JSON.stringify({ directory: server.directory, url: server.adminUrl }))
    setInterval(() => {}, 1000)
  `
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface(child.stdout), 'line')
  const { directory, url }: { directory: string; url: string } = JSON.parse(String(line))
  expect(existsSync(directory)).toBe(true)
  child.kill('SIGKILL')
  await vi.waitFor(() => expect(existsSync(directory)).toBe(false), { timeout: 30_000 })
  const sql = postgres(url, { max: 1 })
  await expect(sql`select 1`).rejects.toThrow('ECONNREFUSED')
  await sql.end()
})
