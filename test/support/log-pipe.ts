// A named pipe for a program's standard output, with its reader in the test.
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'

export type LogPipe = {
  /** Opens a descriptor for the writing process; it blocks, as an ordinary pipe does. */
  writeEnd: number
  /** Fills the pipe's buffer. */
  fill(): void
  /** Reads everything in the pipe's buffer. */
  read(): string
  /** Closes the reader, so that a write fails with EPIPE. */
  closeReader(): void
  close(): void
}

/** Creates a pipe in this directory. */
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

// A non-blocking descriptor fails with EAGAIN instead of waiting.
function untilBlocked(step: () => number): void {
  try {
    while (step() > 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
  }
}
