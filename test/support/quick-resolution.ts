// Preloaded by the processes that tests start. To find the format of a module, Node parses the
// "exports" of its package again for each file. Those of drizzle-orm have 130 kB, and 110 of its
// files are loaded: 0.5 s of CPU time at every start.
import { registerHooks } from 'node:module'

const directory = new URL('.', import.meta.resolve('drizzle-orm')).href
const resolved = new Map<string, { url: string; format?: string | null | undefined; shortCircuit: true }>()

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (!context.conditions.includes('import')) return nextResolve(specifier, context)
    if (context.parentURL?.startsWith(directory) && /^\..*\.js$/.test(specifier))
      return { url: new URL(specifier, context.parentURL).href, format: 'module', shortCircuit: true }
    if (!/^drizzle-orm(\/|$)/.test(specifier)) return nextResolve(specifier, context)
    const known = resolved.get(specifier)
    if (known !== undefined) return known
    const { url, format } = nextResolve(specifier, context)
    const found = { url, format, shortCircuit: true } as const
    resolved.set(specifier, found)
    return found
  },
})
