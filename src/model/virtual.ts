/** The addresses that the mesh gives out, and who listens there. All are of 240.0.0.0/4, which is reserved, so that no real destination is hidden (RFC 1112 §4). */

import type { Listener } from './listener.ts'
import { portName } from './port.ts'
import type { View } from './view.ts'

/** Of Services, of hosts outside the mesh, and of workloads themselves; each 65,536 addresses. */
export const virtualBlocks = { service: '240.77', external: '240.79', workload: '240.80' } as const

/** Whether the mesh gave it out: then nobody else has it. */
export const isGivenOut = (host: string): boolean =>
  host.startsWith('240.') && (host.startsWith('240.77.') || host.startsWith('240.79.') || host.startsWith('240.80.'))

const byAddress = new WeakMap<View, Map<string, Listener>>()

/** The outbound listener at a virtual address; the index is made once per view. */
export function listenerAt(view: View, host: string, port: number, protocol: 'tcp' | 'udp' = 'tcp'): Listener | undefined {
  let index = byAddress.get(view)
  if (index === undefined) {
    index = new Map(
      Object.values(view.listeners)
        .filter(listener => listener.direction === 'outbound')
        .map(listener => [`${listener.host}:${portName(listener.port, listener.protocol)}`, listener]),
    )
    byAddress.set(view, index)
  }
  return index.get(`${host}:${portName(port, protocol)}`)
}
