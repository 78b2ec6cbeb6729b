// The destination of the log: standard output, which can be a pipe, a terminal or a file. When it
// accepts no more data, requests must not wait: lines are buffered up to a limit, then dropped and
// counted.
import sonicBoom from 'sonic-boom'

/** Standard output as the destination of the log. A write neither blocks nor throws. */
export type LogOutput = {
  /** Writes or buffers one line. */
  write(line: string): void
  /** The number of lines dropped since the process started. */
  droppedLines(): number
  /** Resolves when all lines are written, after `withinMilliseconds` at the latest. */
  settle(withinMilliseconds: number): Promise<void>
}

/** About 5,000 request lines, enough for a restart of the reader. */
export const MAX_BUFFERED_BYTES = 1024 * 1024
const RETRY_MILLISECONDS = 100
const DROPPED = 'Log lines were dropped: standard output is blocked, closed, or on a full disk'

/** Opens standard output as the destination of the log. */
export function openLogOutput(): LogOutput {
  // Accessing these properties makes Node set O_NONBLOCK on pipes and sockets. Without it a write
  // to a full pipe blocks the process, also on standard error, where Node prints its warnings.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const output = new sonicBoom.SonicBoom({
    fd: 1,
    // Synchronous: a line is written before a crash, and no write occupies one of libuv's four
    // threads.
    sync: true,
    maxLength: MAX_BUFFERED_BYTES,
    retryEAGAIN: () => false,
  })
  let dropped = 0
  let untold = 0
  let isStuck = false
  const retry = () => {
    // An empty write makes the library retry its buffer.
    output.write('')
  }
  output.on('error', () => {
    if (isStuck) return
    isStuck = true
    // A pipe can be read again, disk space freed, and a named pipe opened by a new reader.
    const timer = setInterval(retry, RETRY_MILLISECONDS).unref()
    output.once('drain', () => {
      clearInterval(timer)
      isStuck = false
      if (untold === 0) return
      const lines = untold
      untold = 0
      output.write(describeDropped(lines))
    })
  })
  output.on('drop', () => {
    dropped += 1
    untold += 1
    // Standard error may still have a reader.
    if (untold === 1 && process.stderr.writableLength === 0) process.stderr.write(describeDropped(1))
  })
  return {
    write: (line) => void output.write(line),
    droppedLines: () => dropped,
    settle: (withinMilliseconds) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      if (!isStuck) resolve()
      output.once('drain', resolve)
      setTimeout(resolve, withinMilliseconds)
      return promise
    },
  }
}

// In the format of the other lines. It bypasses the logger, whose level may be above "warn".
function describeDropped(droppedLines: number): string {
  return `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), droppedLines, msg: DROPPED })}\n`
}
