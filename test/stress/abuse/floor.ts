// What neighbours feel beside the cheapest refusal that there is: a bare HTTP server of Node, in a process
// of its own, which reads no body, refuses a flood and serves the neighbours.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from './ask.ts'
import type { Besides } from './beside.ts'
import { inTurns, watchNeighbour } from './neighbour.ts'

const QUIET_MILLISECONDS = 3_000
const NEIGHBOUR = { query: '{ viewer { login } }', cookies: ['neighbour'] }

const SERVER = `
  const server = require('node:http').createServer((incoming, outgoing) => {
    incoming.resume()
    outgoing.writeHead(incoming.headers.cookie === 'neighbour' ? 200 : 429, { 'content-type': 'application/json' })
    outgoing.end('{"errors":[]}')
  })
  server.listen(0, '127.0.0.1', () => console.log(server.address().port))
`

/** Sends the flood of the other abuses to the bare server, beside a neighbour of it. */
export async function measureFloor(requests: number): Promise<Besides> {
  const child = spawn(process.execPath, ['-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  try {
    const [port] = await once(child.stdout, 'data')
    const url = `http://127.0.0.1:${Number(String(port))}`
    const quiet = await watchNeighbour(url, NEIGHBOUR, () => sleep(QUIET_MILLISECONDS))
    const flood = () => ask(url, '{ viewer { login } }', { cookie: 'made-up' })
    const service = await watchNeighbour(url, NEIGHBOUR, async () => void (await inTurns(requests, flood)))
    return { quiet, service, memoryMb: 0, figures: [] }
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}
