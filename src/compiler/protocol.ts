/** What a service port speaks: said by appProtocol, else by the port's name, else by its workloads, else found out. */

import type { Protocol } from '#model/view'

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

/**
 * An appProtocol that is none of these is a protocol of its own, such as `mysql`: it is carried as opaque TCP, for its server may
 * speak first. declared: what the selected workloads say of the port.
 */
export function protocolOf(
  port: { readonly appProtocol?: string | undefined; readonly name?: string | undefined },
  declared: readonly Protocol[],
): Protocol {
  if (port.appProtocol !== undefined) return byAppProtocol[port.appProtocol.toLowerCase()] ?? 'tcp'
  const named = port.name === undefined ? undefined : byPrefix[port.name.split('-')[0]!]
  if (named !== undefined) return named
  const said = new Set(declared.filter(each => each !== 'detect'))
  return said.size === 1 ? [...said][0]! : 'detect'
}

/** HTTP/2 is not looked into yet: it crosses as opaque bytes, one connection to one endpoint. */
export const carriedAs = (protocol: Protocol): Protocol => (protocol === 'http2' || protocol === 'grpc' ? 'tcp' : protocol)

export const isHttp = (protocol: Protocol): boolean => protocol === 'http' || protocol === 'detect'

/** How the proxy speaks to the backend. */
export const backendProtocol = (protocol: Protocol): 'http1' | 'tcp' => (isHttp(protocol) ? 'http1' : 'tcp')
