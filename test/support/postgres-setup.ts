import type { TestProject } from 'vitest/node'
import { postgresAt } from '../../src/config/database-config.ts'
import { startPostgresServer } from './postgres.ts'
import { fillTemplate } from './template.ts'

/** Starts one cluster for the whole run, in the first project that needs it; the others use it. */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (project.getProvidedContext().postgres) return undefined
  const server = await startPostgresServer({
    prepareTemplate: (url) => fillTemplate({ source: postgresAt(url) }),
  })
  project.vitest.getRootProject().provide('postgres', { adminUrl: server.adminUrl, template: server.template })
  return () => server.remove()
}
