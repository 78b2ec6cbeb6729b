// Preloaded by every server: ends it with the benchmark, even when that is killed, since the pipe to its
// standard input is closed then.
process.stdin
  .on('end', () => process.exit())
  .resume()
  .unref()
