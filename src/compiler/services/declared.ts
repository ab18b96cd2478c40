/** What Services say of the ports that they select, for proxies that find out by themselves otherwise: what is spoken there, and whether a PROXY header is wanted. */

import type { Mesh, SelectedPort } from '#model/mesh'
import type { ServicePort } from './services.ts'

export function declaredBy(ports: readonly ServicePort[]): Mesh['declared'] {
  const found: Record<string, SelectedPort[]> = {}
  for (const { namespace, selector, target, protocol, proxyProtocol } of ports) {
    if (protocol === 'udp' || (protocol === 'detect' && proxyProtocol === undefined)) continue
    const header = proxyProtocol === undefined ? {} : { proxyProtocol }
    ;(found[namespace] ??= []).push({ selector, target, protocol, ...header })
  }
  return found
}
