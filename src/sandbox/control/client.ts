import { z } from 'zod'
import type { SandboxControl } from './control.ts'

const responseSchema = z.object({ result: z.unknown().optional(), error: z.string().optional() })

/** The methods of `SandboxControl`, each of which returns a promise. */
export type RemoteSandboxControl = {
  [Method in keyof SandboxControl]: (
    ...args: Parameters<SandboxControl[Method]>
  ) => Promise<ReturnType<SandboxControl[Method]>>
}

/** Controls the sandbox of another process, which was started with `control: true`, at its URL. */
export function connectSandboxControl(url: string): RemoteSandboxControl {
  const call = async (method: string, args: unknown[]): Promise<unknown> => {
    const response = await fetch(new URL('/_control', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ method, args }),
    })
    const { result, error } = responseSchema.parse(await response.json())
    if (error !== undefined) throw new Error(`The sandbox refused ${method}: ${error}`)
    return result
  }
  const proxy: unknown = new Proxy(
    {},
    {
      get:
        (_, method) =>
        (...args: unknown[]) =>
          call(String(method), args),
    },
  )
  // The route calls the object from which this type is derived.
  return proxy as RemoteSandboxControl
}
