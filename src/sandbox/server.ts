import { createServer } from 'node:http'
import { Hono } from 'hono'
import { createControl, type SandboxControl } from './control/control.ts'
import { createFaults } from './control/faults.ts'
import { createRecorder } from './control/recorder.ts'
import { addControlRoute } from './control/route.ts'
import { addGithubOAuth } from './github/oauth.ts'
import { addGithubOrganizations } from './github/organizations.ts'
import { addGithubUser } from './github/user.ts'
import { handleRequest } from './listener.ts'
import { addPages } from './pages/routes.ts'
import { loadState, saveState } from './state-file.ts'
import type { ReplayMode } from './switches.ts'
import { createWorld, type GithubClient, type World, type XClient } from './world.ts'
import { addXActivity } from './x/activity.ts'
import { endStreams } from './x/activity-streams.ts'
import { addXAuthorize } from './x/authorize.ts'
import { addXMedia } from './x/media.ts'
import { addXPosting } from './x/posting.ts'
import { addXReading } from './x/reading.ts'
import { addXToken } from './x/token.ts'
import { addXUsers } from './x/users.ts'

/**
 * A simulated GitHub and X in one process and at one origin, each at its real paths, to try the
 * gateway without credentials and for tests. The gateway reaches it by URL only and shares no code
 * with it, so that neither repeats a mistake of the other.
 */
export type SandboxOptions = {
  /** 0 or absent: any free port. Always on loopback. */
  port?: number
  /** The host in `url`: a gateway on 127.0.0.1 and a sandbox on localhost do not share cookies. */
  hostname?: string
  /**
   * The file in which the state survives a restart, with a directory for media beside it; null or
   * absent: neither survives.
   */
  stateFile?: string | null
  /** A null secret makes a public client. */
  xClient: XClient
  githubClient: GithubClient
  /** The effect of a refresh token that is used again, which X does not document. */
  replay?: ReplayMode
  /** Opens `POST /_control` for tests in other processes. */
  control?: boolean
  /**
   * Decides whether a fault with a probability applies; a seeded function makes runs repeatable.
   */
  random?: () => number
}

export type Sandbox = { url: string; control: SandboxControl; close(): Promise<void> }

/** Starts the sandbox. Throws with NODE_ENV=production. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  if (process.env.NODE_ENV === 'production') {
    throw new Error('The sandbox never starts with NODE_ENV=production: in it, any visitor can sign in as any user.')
  }
  const stateFile = options.stateFile ?? null
  const world = createWorld(loadState(stateFile), {
    xClient: options.xClient,
    githubClient: options.githubClient,
    replay: options.replay ?? 'end-grant',
    mediaDirectory: stateFile === null ? null : `${stateFile}.media`,
  })
  const recorder = createRecorder()
  const faults = createFaults(options.random)
  const save = () => {
    world.state.clockOffsetSeconds = world.clock.offsetSeconds()
    saveState(stateFile, world.state)
  }
  const control = createControl(world, recorder, faults, save)
  const application = createApplication(world)
  const controlApplication = new Hono()
  if (options.control === true) addControlRoute(controlApplication, control)

  const server = createServer((incoming, outgoing) => {
    // The control is neither recorded nor subject to faults.
    const isControl = options.control === true && incoming.url === '/_control'
    const afterActing = incoming.method === 'GET' || incoming.method === 'HEAD' || isControl ? () => {} : save
    const deps = isControl
      ? { world, application: controlApplication, recorder: createRecorder(), faults: createFaults(), afterActing }
      : { world, application, recorder, faults, afterActing }
    handleRequest(deps, incoming, outgoing).catch(() => outgoing.destroy())
  })
  // As providers do. With Node's 5 s, a client on a busy machine may use a connection while it is
  // closed.
  server.keepAliveTimeout = 65_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Bug: the sandbox listens on no port')
  world.url = `http://${options.hostname ?? '127.0.0.1'}:${address.port}`

  return {
    url: world.url,
    control,
    async close() {
      endStreams(world)
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
      save()
      world.media.close()
    },
  }
}

function createApplication(world: World): Hono {
  const app = new Hono()
  // Hono would print the error; a request must not reach a log.
  app.onError((error, c) => c.text(`A bug in the sandbox: ${error.message}`, 500))
  addGithubOAuth(app, world)
  addGithubUser(app, world)
  addGithubOrganizations(app, world)
  addXAuthorize(app, world)
  addXToken(app, world)
  addXUsers(app, world)
  addXActivity(app, world)
  addXMedia(app, world)
  addXPosting(app, world)
  addXReading(app, world)
  addPages(app, world)
  app.all('/2/*', (c) => c.json({ title: 'Not Found', detail: 'Not Found', type: 'about:blank', status: 404 }, 404))
  return app
}
