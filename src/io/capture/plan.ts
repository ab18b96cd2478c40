/** What host-wide interception is to do, and the name under which its rules stand on the machine. */

import { readFileSync } from 'node:fs'
import type { Exclusions } from '#base/exclusions'
import type { Cgroup } from './cgroup.ts'

export type Selection = {
  /** Names or numbers of users whose connections are captured. */
  readonly uids: readonly string[]
  /** Below where cgroups of version 2 are mounted, such as `system.slice/orders.service`. */
  readonly cgroups: readonly string[]
  /** Everything on this machine but the proxy itself. */
  readonly all: boolean
}

export type Plan = {
  readonly select: Omit<Selection, 'cgroups'> & { readonly cgroups: readonly Cgroup[] }
  readonly exclude: Exclusions
  /** Ports of the workload whose callers from other machines are captured. */
  readonly inbound: readonly number[]
  /** How those arrive: with their destination rewritten, or as they are. */
  readonly mode: 'redirect' | 'tproxy'
  /** The group of the proxy's process, by which its own connections are known. */
  readonly gid: number
  /** Where the proxy listens. */
  readonly ports: { readonly outbound: number; readonly inbound: number; readonly dns: number }
  readonly ipv6: boolean
}

/** Virtual addresses of services, of names, of hosts outside and of workloads (docs/decisions/0008): they must have a way, or no connection to them begins. */
export const virtualBlocks = ['240.77.0.0/16', '240.78.0.0/16', '240.79.0.0/16', '240.80.0.0/16'] as const

/** Rules belong to one process: its number and when it started, for numbers are used again. */
export type Owner = { readonly pid: number; readonly startedAt: string }

export const ownerNow = (): Owner => ({ pid: process.pid, startedAt: startOf(process.pid) ?? '0' })

/** Ticks since the machine started (proc(5): field 22); undefined where there is no such process. */
export function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

export const isAlive = ({ pid, startedAt }: Owner): boolean => startOf(pid) === startedAt

export const tableOf = ({ pid, startedAt }: Owner): string => `weft_capture_${pid}_${startedAt}`
/** At most 28 characters, which is what iptables allows. */
export const chainOf = ({ pid, startedAt }: Owner, part: 'A' | 'S' | 'I'): string => `WEFT_${pid}_${startedAt}_${part}`

/** The owners of rules in what `nft list tables` or `iptables-save` print. */
export function ownersIn(text: string): Owner[] {
  const found = [...text.matchAll(/\bweft_capture_(\d+)_(\d+)\b|\bWEFT_(\d+)_(\d+)_[ASI]\b/g)].map(([, a, b, c, d]) => ({
    pid: Number(a ?? c),
    startedAt: (b ?? d)!,
  }))
  return found.filter((owner, at) => found.findIndex(other => other.pid === owner.pid && other.startedAt === owner.startedAt) === at)
}
