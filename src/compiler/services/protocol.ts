/** What a service port speaks: said by appProtocol, else by the port's name, else by its workloads, else found out. */

import type { Backend } from '#model/backend'
import type { Protocol } from '#model/listener'

const byAppProtocol: Readonly<Record<string, Protocol>> = {
  http: 'http',
  'kubernetes.io/ws': 'http',
  http2: 'http2',
  h2c: 'http2',
  'kubernetes.io/h2c': 'http2',
  grpc: 'grpc',
  https: 'tls',
  tls: 'tls',
  'kubernetes.io/wss': 'tls',
  tcp: 'tcp',
}

const byPrefix: Readonly<Record<string, Protocol>> = {
  http: 'http',
  http2: 'http2',
  h2c: 'http2',
  grpc: 'grpc',
  https: 'tls',
  tls: 'tls',
  tcp: 'tcp',
  mysql: 'tcp',
  mongo: 'tcp',
  redis: 'tcp',
  postgres: 'tcp',
}

type Port = { readonly appProtocol?: string | undefined; readonly name?: string | undefined }

/**
 * An appProtocol that is none of these is a protocol of its own, such as `mysql`: it is carried as opaque TCP, for its server may
 * speak first. declared: what the selected workloads say of the port.
 */
export function protocolOf(port: Port, declared: readonly Protocol[]): Protocol {
  const told = toldProtocol(port)
  if (told !== undefined) return told.protocol
  const said = new Set(declared.filter(each => each !== 'detect'))
  return said.size === 1 ? [...said][0]! : 'detect'
}

/** What the Service itself says of its port. */
export function toldProtocol({
  appProtocol,
  name,
}: Port): { readonly protocol: Protocol; readonly by: 'appProtocol' | 'name' } | undefined {
  if (appProtocol !== undefined) return { protocol: byAppProtocol[appProtocol.toLowerCase()] ?? 'tcp', by: 'appProtocol' }
  const named = name === undefined ? undefined : byPrefix[name.split('-')[0]!]
  return named === undefined ? undefined : { protocol: named, by: 'name' }
}

export const isHttp = (protocol: Protocol): boolean => protocol !== 'tcp' && protocol !== 'tls' && protocol !== 'udp'

/** gRPC is HTTP/2 (PROTOCOL-HTTP2.md). */
export const carriesCalls = (protocol: Protocol): boolean => isHttp(protocol) && protocol !== 'http'

/** Its bytes may turn out, or are known, to be nothing that is looked into. */
export const isOpaque = (protocol: Protocol): boolean => !isHttp(protocol) || protocol === 'detect'

/** How the workload is spoken to at last. */
export function backendProtocol(protocol: Protocol): Backend['protocol'] {
  if (protocol === 'detect') return 'downstream'
  if (protocol === 'http') return 'http1'
  if (protocol === 'udp') return 'udp'
  return isHttp(protocol) ? 'http2' : 'tcp'
}
