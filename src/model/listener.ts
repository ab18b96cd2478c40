/** Which listener takes what goes to a virtual address. */

import { portName } from './port.ts'
import type { Listener, View } from './view.ts'

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
