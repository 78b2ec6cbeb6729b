import type { Db } from './client.ts'

/**
 * Returns a function that builds a value at its first call with a database handle, and returns the
 * same one at later calls. The pool's handle lives as long as the process; that of a transaction is
 * forgotten with it.
 * @param build must use nothing of its argument that differs between calls with one handle.
 */
export function onceForEachHandle<Needed extends { db: Db }, Value>(
  build: (deps: Needed) => Value,
): (deps: Needed) => Value {
  const built = new WeakMap<Db, Value>()
  return (deps) => {
    const known = built.get(deps.db)
    if (known !== undefined) return known
    const value = build(deps)
    built.set(deps.db, value)
    return value
  }
}
