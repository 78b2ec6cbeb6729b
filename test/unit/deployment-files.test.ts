// The files for an operator's servers name what exists: variables, ports, paths, signals and times.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAllDocuments, parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { STOP_SECONDS } from '../../src/process/signals.ts'
import { parseDockerfile } from '../support/dockerfile.ts'
import { readProcedures } from '../support/procedures.ts'

const root = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')

const variables = new Set([...read('.env.example').matchAll(/^#?([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name))
const isVariable = (name: string) => variables.has(name) || variables.has(name.replace(/_FILE$/, ''))
const unknownOf = (names: Iterable<string>) => [...names].filter((name) => !isVariable(name))

const service = z.object({
  environment: z.record(z.string(), z.string()).default({}),
  secrets: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  stop_grace_period: z.string().optional(),
  read_only: z.boolean().optional(),
})
const compose = z
  .object({ services: z.record(z.string(), service), secrets: z.record(z.string(), z.object({ file: z.string() })) })
  .parse(parseYaml(read('compose.yaml'), { merge: true }))

const container = z.object({
  envFrom: z.array(z.object({ configMapRef: z.object({ name: z.string() }) })),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })).default([]),
  volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string(), readOnly: z.literal(true) })),
  securityContext: z.object({ readOnlyRootFilesystem: z.literal(true), allowPrivilegeEscalation: z.literal(false) }),
  command: z.array(z.string()).optional(),
})
const podSpec = z.object({
  terminationGracePeriodSeconds: z.number().optional(),
  securityContext: z.object({ runAsNonRoot: z.literal(true) }),
  containers: z.tuple([container.loose()]),
  volumes: z.array(z.object({ name: z.string(), secret: z.object({ secretName: z.string() }) })),
})
const kubernetes = globSync('deploy/kubernetes/*.yaml', { cwd: root }).flatMap((file) =>
  parseAllDocuments(read(file)).map((document) => {
    expect(document.errors, file).toEqual([])
    return z
      .object({ apiVersion: z.string(), kind: z.string(), metadata: z.object({ name: z.string() }) })
      .loose()
      .parse(document.toJS())
  }),
)
const find = (kind: string, name = 'xconnect') =>
  kubernetes.find((each) => each.kind === kind && each.metadata.name === name) ??
  expect.fail(`There is no ${kind} ${name}`)
const podOf = (kind: string, name?: string) =>
  z.object({ template: z.object({ spec: podSpec }) }).parse(find(kind, name).spec).template.spec

describe('compose.yaml', () => {
  test('gives two instances variables and secrets that exist, and time to stop', () => {
    const gateways = Object.entries(compose.services).filter(([name]) => name.startsWith('gateway-'))
    expect(gateways).toHaveLength(2)
    for (const [, { environment, secrets, stop_grace_period, read_only }] of gateways) {
      expect(unknownOf(Object.keys(environment))).toEqual([])
      const files = Object.values(environment).flatMap((value) => value.match(/^\/run\/secrets\/(.+)$/)?.[1] ?? [])
      expect(files.sort()).toEqual([...secrets].sort())
      expect(Number.parseInt(stop_grace_period ?? '', 10)).toBeGreaterThan(STOP_SECONDS)
      expect(read_only).toBe(true)
    }
    expect(
      Object.values(compose.services)
        .flatMap(({ secrets }) => secrets)
        .filter((name) => !(name in compose.secrets)),
    ).toEqual([])
  })

  test('uses the published configuration of nginx, which names its instances', () => {
    const mounted = compose.services.proxy?.volumes.map((volume) => volume.split(':')[0] ?? '') ?? []
    expect(mounted).toContain('./deploy/nginx.conf')
    const addressed = [...read('deploy/nginx.conf').matchAll(/^\s*server (\S+):(\d+) /gm)]
    expect(addressed.map(([, name]) => name)).toEqual(['gateway-1', 'gateway-2'])
    expect(new Set(addressed.map(([, , port]) => port))).toEqual(new Set([exposedPort()]))
  })
})

describe('deploy/kubernetes', () => {
  test('gives the instances variables and mounted secrets that exist', () => {
    const { data } = z.object({ data: z.record(z.string(), z.string()) }).parse(find('ConfigMap'))
    expect(unknownOf(Object.keys(data))).toEqual([])
    const { stringData } = z.object({ stringData: z.record(z.string(), z.string()) }).parse(find('Secret'))
    const pod = podOf('Deployment')
    const [mount] = pod.containers[0].volumeMounts
    const named = Object.entries(data).filter(([name]) => name.endsWith('_FILE'))
    expect(named.map(([, path]) => path.replace(`${mount?.mountPath}/`, '')).sort()).toEqual(
      Object.keys(stringData).sort(),
    )
    for (const { volumes } of [pod, podOf('Job', 'xconnect-migrate')])
      for (const { secret } of volumes) expect(find('Secret', secret.secretName)).toBeDefined()
  })

  test('waits longer for the end than the gateway takes, and probes paths and the port that it serves', () => {
    const pod = podOf('Deployment')
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(STOP_SECONDS)
    const [gateway] = pod.containers
    expect(gateway.ports.map(({ containerPort }) => String(containerPort))).toEqual([exposedPort()])
    const served = [...read('src/routes/health.ts').matchAll(/app\.get\('([^']+)'/g)].map(([, path]) => path)
    const probe = z.object({ httpGet: z.object({ path: z.enum(served as [string]), port: z.literal('http') }) })
    for (const name of ['startupProbe', 'livenessProbe', 'readinessProbe']) probe.parse(gateway[name])
    expect(gateway.readinessProbe).toMatchObject({ httpGet: { path: '/readyz' } })
    expect(gateway.livenessProbe).toMatchObject({ httpGet: { path: '/healthz' } })
    expect(find('PodDisruptionBudget').spec).toMatchObject({ maxUnavailable: 1 })
    expect(podOf('Job', 'xconnect-migrate').containers[0].command).toEqual(['node', 'lib/xconnect.js', 'migrate'])
  })
})

test('deploy/xconnect.service sets variables that exist, waits for the end, and does not restart after exit code 78', () => {
  const lines = read('deploy/xconnect.service')
    .split('\n')
    .filter((line) => /^\w+=/.test(line))
  const valuesOf = (name: string) =>
    lines.filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1))
  const set = valuesOf('Environment').map((entry) => entry.split('='))
  expect(unknownOf(set.map(([name = '']) => name))).toEqual([])
  const credentials = valuesOf('LoadCredential').map((entry) => entry.split(':')[0] ?? '')
  const used = set.flatMap(([, value = '']) => value.match(/^%d\/(.+)$/)?.[1] ?? [])
  expect(used.sort()).toEqual(credentials.sort())
  expect(Number(valuesOf('TimeoutStopSec')[0])).toBeGreaterThan(STOP_SECONDS)
  expect(valuesOf('RestartPreventExitStatus')).toEqual(['78'])
  expect(valuesOf('LimitCORE')).toEqual(['0'])
  const [command = ''] = valuesOf('ExecStart')
  for (const [, file = ''] of command.matchAll(/xconnect-gateway\/lib\/(\S+)\.js/g))
    expect([...globSync(`src/${file}.{ts,js}`, { cwd: root })]).toHaveLength(1)
})

test('deploy/Caddyfile has balanced blocks, asks a path that exists, and limits bodies as nginx does', () => {
  const text = read('deploy/Caddyfile').replaceAll(/#.*$/gm, '')
  let depth = 0
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line === '}') depth -= 1
    if (line.endsWith('{')) depth += 1
    expect(depth).toBeGreaterThanOrEqual(0)
  }
  expect(depth).toBe(0)
  expect(text).toMatch(/health_uri \/readyz\n/)
  expect(text).toMatch(/max_size 2MB\n/)
  expect(read('deploy/nginx.conf')).toMatch(/client_max_body_size 2m;/)
})

test('every procedure of docs/operate.md has a test that exists', () => {
  const procedures = readProcedures()
  expect(procedures.length).toBeGreaterThan(5)
  for (const { files, title } of procedures) {
    expect(files.length, title).toBeGreaterThan(0)
    for (const file of files) expect(globSync(file, { cwd: root }), title).toEqual([file])
  }
})

function exposedPort(): string {
  return parseDockerfile(read('Dockerfile')).find(({ name }) => name === 'EXPOSE')?.words ?? ''
}
