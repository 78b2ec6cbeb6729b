/**
 * Words after `xconnect` that make no command. The message says what is wrong with them. It is empty
 * where the usage text says enough.
 */
export class UsageError extends Error {
  constructor(message = '') {
    super(message)
    this.name = 'UsageError'
  }
}
