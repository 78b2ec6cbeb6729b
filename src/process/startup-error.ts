/**
 * An error that keeps the process from starting and that an operator can resolve. The message says
 * how.
 */
export class StartupError extends Error {
  /**
   * 78 (EX_CONFIG of sysexits.h) when a restart fails again until the operator changes something.
   */
  readonly exitCode: 1 | 78

  constructor(message: string, exitCode: StartupError['exitCode']) {
    super(message)
    this.name = 'StartupError'
    this.exitCode = exitCode
  }
}

// Error codes of `listen` that blame the address and not the port: no such name, or an address of
// another machine.
const ADDRESS_ERRORS = ['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']

/**
 * Turns an error of `listen` into a StartupError that names the variable at fault, and returns any
 * other error as it is.
 * @param remedy says what to set where the port is taken.
 * @param host the value of HOST where the server listens at it; null otherwise.
 * @param prefix of the variables: METRICS_ for METRICS_PORT and METRICS_HOST.
 */
export function explainListenError(
  error: unknown,
  port: number,
  remedy: string,
  host: string | null = null,
  prefix: '' | 'METRICS_' = '',
): unknown {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) return error
  if (error.code === 'EADDRINUSE') return new StartupError(`Port ${port} is in use by another program. ${remedy}`, 1)
  if (error.code === 'EACCES')
    return new StartupError(
      `This user may not listen at port ${port}: on many systems ports below 1024 are reserved. Set ${prefix}PORT to another.`,
      78,
    )
  if (host === null || !ADDRESS_ERRORS.includes(error.code)) return error
  return new StartupError(
    `${prefix}HOST is "${host}", which is no address of this machine (${error.code}). Set ${prefix}HOST to 127.0.0.1, to 0.0.0.0 for all its addresses, or unset it${prefix === '' ? ": other programs, such as conda's compilers, set a variable of that name too" : ''}.`,
    78,
  )
}
