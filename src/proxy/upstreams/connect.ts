/** One connection to one endpoint: plain or mutual TLS with the expected identity. What goes wrong is a Failure that says whether another endpoint may be tried. */

import { Failure } from '#base/failure'
import { dialTcp, originate, secureClient } from '#io/net'
import { dialUdp, type UdpFlow, type UdpHandlers } from '#io/udp'
import type { Backend, Endpoint } from '#model/backend'
import { termsOf } from '#model/tls'
import type { Ends } from '#wire/proxy-protocol'
import { dialOutside, flowOutside } from './dial-outside.ts'
import { failureOf, opened } from './opened.ts'
import { writeHeader } from '../callers/proxy-header.ts'
import type { Connected, Reach } from './reach.ts'

/** A flow of datagrams in the clear: to the workload, or to an endpoint that is not behind a proxy of the mesh. */
export const openFlow = (backend: Backend, endpoint: Endpoint | undefined, reach: Reach, on: UdpHandlers): UdpFlow =>
  endpoint === undefined
    ? reach.dialLocalUdp(backend.port, on)
    : backend.isExternal === true
      ? flowOutside(endpoint, reach, on)
      : dialUdp(endpoint.host, endpoint.port, on)

/** offers: names for ALPN (RFC 7301), best first; none for opaque bytes. ends: who called whom, for a workload that wants to know it by a PROXY header. */
export async function connect(
  backend: Backend,
  endpoint: Endpoint | undefined,
  reach: Reach,
  offers: readonly string[],
  ends?: () => Ends | undefined,
): Promise<Connected> {
  const connected = await made(backend, endpoint, reach, offers)
  if (backend.proxyProtocol !== undefined && endpoint?.mtls !== true) writeHeader(connected.socket, backend.proxyProtocol, ends?.())
  return connected
}

async function made(backend: Backend, endpoint: Endpoint | undefined, reach: Reach, offers: readonly string[]): Promise<Connected> {
  if (endpoint === undefined)
    return {
      socket: await reach.dialLocal(backend.port, backend.connectTimeoutMs).catch(failed(`127.0.0.1:${backend.port}`)),
      identity: undefined,
    }
  if (backend.isExternal === true && !endpoint.mtls) return dialOutside(backend, endpoint, reach, offers)
  if (!endpoint.mtls)
    return {
      socket: await opened(dialTcp(endpoint.host, endpoint.port), 'connect', backend.connectTimeoutMs, endpoint),
      identity: undefined,
    }
  if (backend.isTlsInside === true) return insideOf(await secured(backend, endpoint, reach, []), backend, endpoint, reach, offers)
  return secured(backend, endpoint, reach, offers)
}

async function secured(backend: Backend, endpoint: Endpoint, reach: Reach, offers: readonly string[]): Promise<Connected> {
  const credentials = reach.credentials(backend.profile)
  if (credentials === undefined) throw new Failure('not-ready', 'this proxy has no certificate yet')
  const secure = secureClient(dialTcp(endpoint.host, endpoint.port), credentials, offers, serverName(backend))
  await opened(secure, 'secureConnect', backend.connectTimeoutMs, endpoint, backend.profile)
  const proven = reach.believe(secure, backend.name, backend.identities)
  if ('refused' in proven) {
    secure.destroy()
    throw new Failure('identity-mismatch', `${endpoint.host}:${endpoint.port}: ${proven.refused}`)
  }
  reach.agreed(secure, 'outbound', proven.peer)
  return { socket: secure, identity: proven.peer, alpn: typeof secure.alpnProtocol === 'string' ? secure.alpnProtocol : undefined }
}

/** TLS that the workload itself ends, inside the mutual TLS of the mesh, in which it is bytes like any others. */
async function insideOf(
  outer: Connected,
  backend: Backend,
  endpoint: Endpoint,
  reach: Reach,
  offers: readonly string[],
): Promise<Connected> {
  const { profile = 'compatible', ...settings } = backend.tls ?? {}
  const inner = originate(
    outer.socket,
    { ...settings, terms: termsOf[profile], serverName: settings.serverName ?? backend.service },
    offers,
  )
  await opened(inner, 'secureConnect', backend.connectTimeoutMs, endpoint, backend.tls?.profile)
  reach.agreed(inner, 'outside')
  return { socket: inner, identity: outer.identity, alpn: typeof inner.alpnProtocol === 'string' ? inner.alpnProtocol : undefined }
}

/** `8080.catalog.default.mesh`: the name in the TLS hello, for proxies that many workloads share. */
const serverName = (backend: Backend): string => `${backend.port}.${backend.service}.mesh`

const failed =
  (where: string) =>
  (error: Error): never => {
    throw failureOf(error, where)
  }
