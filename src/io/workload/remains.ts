/** Ends what a program leaves behind in its network namespace: background children that outlive it. */

import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/** Process ids in that namespace, never this process. identity: as `/proc/PID/ns/net` shows it; it must be held open, or the kernel may use the number again. */
function processesIn(identity: string): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid && namespaceOf(name) === identity)
    .map(Number)
}

function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return undefined // gone, a zombie, or another user's
  }
}

/** TERM to all, then KILL to what is there after graceMs. Resolves when none is left. */
export async function clearAway(identity: string, graceMs: number): Promise<void> {
  const told = new Set<number>()
  const until = Date.now() + graceMs
  for (let left = processesIn(identity); left.length > 0; left = processesIn(identity)) {
    const late = Date.now() >= until
    for (const pid of left) {
      if (late) send(pid, 'SIGKILL')
      else if (!told.has(pid)) send(pid, 'SIGTERM')
      told.add(pid)
    }
    if (Date.now() >= until + 5000) return // a process that KILL does not end hangs in the kernel: nothing more can be done
    await pause(20)
  }
}

export function send(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // it has just ended
  }
}
