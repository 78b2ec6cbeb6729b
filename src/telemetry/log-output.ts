// Where the lines of the log go. The other end is a pipe that somebody else reads, a terminal or a file; when it stops taking lines,
// requests must not wait for it. Lines are kept up to a bound, then dropped and counted.
import sonicBoom from 'sonic-boom'

/** Standard output as the log's destination. A write never waits for the reader and never throws. */
export type LogOutput = {
  /** Takes one line. */
  write(line: string): void
  /** How many lines were dropped since the process started. */
  droppedLines(): number
  /** Resolves when all lines are written, and after `withinMilliseconds` at the latest. */
  settle(withinMilliseconds: number): Promise<void>
}

/** Some 5,000 lines of requests: a reader that is restarted misses nothing. */
export const MAX_BUFFERED_BYTES = 1024 * 1024
const RETRY_MILLISECONDS = 100
const DROPPED = 'Lines of the log were dropped: standard output is full, closed, or on a full disk'

/** Opens standard output for the log. */
export function openLogOutput(): LogOutput {
  // Reading these properties makes Node set O_NONBLOCK on pipes and sockets. Without it a write to a full pipe blocks the process, and
  // so does a write to standard error, where Node prints its own warnings.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const output = new sonicBoom.SonicBoom({
    fd: 1,
    // In the caller's turn: a line that was logged is out before a crash, and no write waits in Node's four threads.
    sync: true,
    maxLength: MAX_BUFFERED_BYTES,
    retryEAGAIN: () => false,
  })
  let dropped = 0
  let untold = 0
  let isStuck = false
  const retry = () => {
    // An empty line makes the library try again to write what it has buffered.
    output.write('')
  }
  output.on('error', () => {
    if (isStuck) return
    isStuck = true
    // A full pipe may be read again, a full disk cleaned up, and a named pipe opened by another reader.
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
    // Standard error may have a reader when standard output has none.
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

// In the form of the log's other lines. It goes around the logger, whose level may be above "warn".
function describeDropped(droppedLines: number): string {
  return `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), droppedLines, msg: DROPPED })}\n`
}
