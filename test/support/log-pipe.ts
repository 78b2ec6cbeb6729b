// A named pipe as somebody's standard output, with its reader in the test's hands.
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'

export type LogPipe = {
  /** For the process that writes: a descriptor of its own, which blocks as an ordinary pipe's does. */
  writeEnd: number
  /** Writes until nothing more fits. */
  fill(): void
  /** Everything that is in the pipe just now. */
  read(): string
  /** Nobody reads it any more: a write ends in EPIPE. */
  closeReader(): void
  close(): void
}

/** Makes a pipe in this directory. */
export function openLogPipe(path: string): LogPipe {
  execFileSync('mkfifo', [path])
  let reader: number | null = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writeEnd = openSync(path, constants.O_WRONLY)
  const filler = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  const closeReader = () => {
    if (reader !== null) closeSync(reader)
    reader = null
  }
  return {
    writeEnd,
    fill: () => untilBlocked(() => writeSync(filler, '\n')),
    read: () => {
      const chunks: Buffer[] = []
      const fd = reader
      if (fd === null) return ''
      untilBlocked(() => {
        const chunk = Buffer.alloc(65_536)
        const bytes = readSync(fd, chunk)
        chunks.push(chunk.subarray(0, bytes))
        return bytes
      })
      return Buffer.concat(chunks).toString()
    },
    closeReader,
    close: () => {
      closeReader()
      closeSync(writeEnd)
      closeSync(filler)
    },
  }
}

// A descriptor that does not block says EAGAIN where another would wait.
function untilBlocked(step: () => number): void {
  try {
    while (step() > 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
  }
}
