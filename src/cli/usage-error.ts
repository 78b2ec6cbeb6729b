/**
 * Invalid arguments of a command. The message says what is wrong with them; it is empty when the
 * usage text is enough.
 */
export class UsageError extends Error {
  constructor(message = '') {
    super(message)
    this.name = 'UsageError'
  }
}
