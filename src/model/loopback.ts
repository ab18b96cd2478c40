/** Where services are on the loopback of a workload that cannot be captured: each workload of a host has a block of addresses of its own. */

import type { View } from './view.ts'
import { virtualBlocks } from './virtual.ts'

/** 240.77.x.y → 127.BLOCK.x.y: the same services have the same last numbers everywhere. */
export const loopbackOf = (virtual: string, block: number): string => `127.${block}.${virtual.split('.').slice(2).join('.')}`

/** There is room for services only; workloads themselves are called through the proxy (`HTTP_PROXY`). */
export const isOfWorkload = (host: string): boolean => host.startsWith(`${virtualBlocks.workload}.`)

/** The first address of a block, which no service has: that of the workload's proxy itself. */
export const ownLoopback = (block: number): string => `127.${block}.0.1`

/** Of the block to which the listeners of a view are bound; undefined: they are bound nowhere. */
export function ownLoopbackIn(listeners: View['listeners']): string | undefined {
  for (const { isBound, host } of Object.values(listeners)) if (isBound === true) return ownLoopback(Number(host.split('.')[1]))
  return undefined
}

/** The same view for a proxy that is bound to the addresses of services, as one that is no parent of its workload has to be. */
export function onLoopback(view: View, block: number): View {
  return {
    ...view,
    listeners: Object.fromEntries(
      Object.entries(view.listeners)
        // Nothing is captured: what is called outside does not come by.
        .filter(([, { host }]) => host !== '0.0.0.0')
        .map(([name, listener]) => [
          name,
          listener.direction === 'outbound' && !isOfWorkload(listener.host)
            ? { ...listener, host: loopbackOf(listener.host, block), isBound: true as const }
            : listener,
        ]),
    ),
    dns: view.dns.map(({ name, addresses }) => ({
      name,
      addresses: addresses.map(each => (isOfWorkload(each) ? each : loopbackOf(each, block))),
    })),
  }
}
