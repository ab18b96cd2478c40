/** Where this service's ports were open last time, so that a proxy that starts anew is found there even by callers whom no control plane can tell. */

import type { Log } from '#base/log'
import { readTextIfAny, writeAtomic } from '#io/files'
import { portName } from '#model/port'
import type { WorkloadPort } from '#model/workload'
import type { Core } from './core.ts'

/** By port of the workload, such as `80` or `53/udp`: ports of this machine, the last first. Instances of one service share the list, each takes what is free. */
type Kept = Readonly<Record<string, readonly number[]>>

const most = 16
const keyOf = ({ port, protocol }: Pick<WorkloadPort, 'port' | 'protocol'>): string => portName(port, protocol)
const fileIn = (folder: string): string => `${folder}/ports.json`

/** Opens each port where it was before if that is free, else anywhere. Rejects when a port cannot be opened at all. */
export async function bindAsBefore(
  core: Core,
  ports: readonly Omit<WorkloadPort, 'bind'>[],
  host: string,
  folder: string,
  log: Log,
): Promise<WorkloadPort[]> {
  const kept = await readKept(folder)
  const bound: WorkloadPort[] = []
  for (const port of ports) bound.push(await bindOne(core, port, host, kept[keyOf(port)] ?? []))
  const next: Kept = Object.fromEntries(
    bound.flatMap(port =>
      port.bind === undefined ? [] : [[keyOf(port), [...new Set([port.bind.port, ...(kept[keyOf(port)] ?? [])])].slice(0, most)]],
    ),
  )
  await writeAtomic(fileIn(folder), `${JSON.stringify({ ...kept, ...next })}\n`, { mode: 0o600 }).catch((thrown: unknown) =>
    log.warn('the ports cannot be kept on disk: after a restart callers must hear of new ones from the control plane', {
      error: String(thrown),
    }),
  )
  return bound
}

async function bindOne(core: Core, port: Omit<WorkloadPort, 'bind'>, host: string, before: readonly number[]): Promise<WorkloadPort> {
  for (const at of before) {
    const bound = await core.bind(port, host, at).catch(() => undefined) // another instance has it
    if (bound !== undefined) return bound
  }
  return core.bind(port, host)
}

/** A file that cannot be used is as none. */
async function readKept(folder: string): Promise<Kept> {
  try {
    const read = Object.entries((JSON.parse((await readTextIfAny(fileIn(folder))) ?? '{}') ?? {}) as Record<string, unknown>)
    return Object.fromEntries(
      read.map(([port, list]) => [
        port,
        Array.isArray(list) ? list.filter(each => Number.isInteger(each) && each > 1023 && each < 65_536) : [],
      ]),
    )
  } catch {
    return {}
  }
}
