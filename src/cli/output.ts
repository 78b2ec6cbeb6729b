/** The output of a command: results for standard output, messages for standard error. */
export type Output = { result(line: string): void; message(line: string): void }
