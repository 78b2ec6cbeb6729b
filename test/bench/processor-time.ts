// Processor time and memory of processes, from /proc, so that Linux only. Processor time is what a
// request costs whatever else runs on the machine.
import { readdirSync, readFileSync } from 'node:fs'

// sysconf(_SC_CLK_TCK), which is 100 on every Linux that Node runs on.
const TICK_MILLISECONDS = 10

/** The fields of /proc/PID/stat that are used here. Times are in milliseconds. */
export type ProcessStat = { parent: number; ownTime: number; endedChildrenTime: number }

/** Parses /proc/PID/stat. The name in its parentheses may contain any character. */
export function parseStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  // proc_pid_stat(5) counts from 1, and the first two fields are cut off.
  const field = (number: number) => Number(fields[number - 3])
  return {
    parent: field(4),
    ownTime: (field(14) + field(15)) * TICK_MILLISECONDS,
    endedChildrenTime: (field(16) + field(17)) * TICK_MILLISECONDS,
  }
}

/** Returns the milliseconds of processor time that a process has used, with all its threads. */
export function readProcessorTime(pid: number): number {
  return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8')).ownTime
}

/** Returns the milliseconds of a process and its children, with those that have ended. */
export function readTreeTime(pid: number): number {
  const { ownTime, endedChildrenTime } = parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(tryReadStat)
    .filter((stat) => stat?.parent === pid)
  return children.reduce((sum, child) => sum + (child?.ownTime ?? 0), ownTime + endedChildrenTime)
}

/** Returns the resident memory of a process in bytes. */
export function readResidentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

function tryReadStat(pid: string): ProcessStat | null {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    // It has ended since the directory was read.
    return null
  }
}
