/** Whether a process belongs to a workload: it lives in its network namespace, or was started by it. */

import { readFileSync, readlinkSync } from 'node:fs'
import type { Credentials } from './sockopt.ts'

/**
 * root: process id of the workload's program. In a network namespace of its own, whoever is in that belongs to it; on the machine's network, whoever descends
 * from it. A sentence why not; undefined: it does.
 */
export function whyNoKin(peer: Credentials, root: number): string | undefined {
  const own = namespaceOf(process.pid)
  const theirs = namespaceOf(root)
  if (theirs !== undefined && theirs !== own)
    return namespaceOf(peer.pid) === theirs ? undefined : `process ${peer.pid} does not run in the network namespace of this workload`
  for (let pid: number | undefined = peer.pid; pid !== undefined && pid > 1; pid = parentOf(pid)) if (pid === root) return undefined
  return `process ${peer.pid} was not started by this workload`
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return undefined
  }
}

/** The fourth field of stat, behind the name, which may hold anything (proc_pid_stat(5)). */
function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}
