/** Fourth stage: service ports and the routes attached to them as listeners, route tables, backends and endpoints. */

import type { Backend, EndpointSet } from '#model/backend'
import type { Listener } from '#model/listener'
import type { Mesh, Near, Outbound } from '#model/mesh'
import type { HashOn, Route, RouteTable, WeightedBackend } from '#model/route'
import type { TCPRoute, TLSRoute } from '#resources/gateway-api'
import { byCaller, type Hashes, recognisingRoute } from './policies/hashes.ts'
import { inOrder } from './routes/order.ts'
import { layersFor, namesClients } from './policies/layers.ts'
import { callingAt, type Policies } from './policies/backend.ts'
import { backendProtocol, isHttp, isOpaque } from './services/protocol.ts'
import type { ByPort } from './routes/audiences.ts'
import type { RequestRoute } from './routes/routes.ts'
import type { LoweredRoute } from './routes/rules.ts'
import type { ServicePort } from './services/services.ts'
import { lowerNames } from './routes/tcp.ts'

type Lowered = {
  readonly http: ReadonlyMap<RequestRoute, LoweredRoute>
  readonly tcp: ReadonlyMap<TCPRoute | TLSRoute, readonly WeightedBackend[]>
}

/** Where a host without an address of its own is listened for: `outside.ts` puts all of one port together. */
const anyHost = '0.0.0.0'

/** hashes: what requests to each backend are recognised by. */
export function lowerPorts(ports: readonly ServicePort[], byPort: ByPort, lowered: Lowered, hashes: Hashes): Outbound {
  const listeners: Record<string, Listener> = {}
  const routes: Record<string, RouteTable> = {}
  for (const port of ports) {
    const isWild = port.external?.host.startsWith('*.') === true
    if (port.host === undefined && !isWild) continue
    const { http, tls, tcp } = byPort.get(port.key) ?? { http: [], tls: [], tcp: undefined }
    const itself: readonly WeightedBackend[] = [{ backend: port.key, weight: 1 }]
    // a TCPRoute takes every connection, so nothing is looked into; with TLSRoutes the first message is
    const protocol = tls.length > 0 ? 'tls' : tcp === undefined || port.protocol === 'udp' ? port.protocol : 'tcp'
    const looks = isHttp(protocol)
    const name = `outbound/${port.key}`
    listeners[name] = {
      name,
      direction: 'outbound',
      host: port.host ?? anyHost,
      port: port.port,
      protocol,
      ...(looks ? { routes: port.key } : {}),
      ...byCaller(
        tls.length > 0
          ? lowerNames(tls, lowered.tcp)
          : isOpaque(protocol)
            ? { backends: tcp === undefined ? itself : lowered.tcp.get(tcp)! }
            : {},
        hashes,
      ),
      service: `${port.service}.${port.namespace}`,
    }
    if (!looks) continue
    const own = http.length === 0 ? [toItself(port, itself)] : inOrder(http.flatMap(route => lowered.http.get(route)!.routes))
    const recognising = hashes.size === 0 ? own : own.map(route => recognisingRoute(route, hashes))
    routes[port.key] = { name: port.key, hosts: [{ name: '*', domains: ['*'], routes: recognising }] }
  }
  return { listeners, routes }
}

/** Where no route is attached, every request goes to the service; where one is, what it does not match is answered 404. */
const toItself = (port: ServicePort, backends: readonly WeightedBackend[]): Route => ({
  name: `${kindOf(port)}/${port.namespace}/${port.workload ?? port.service}/${port.port}`,
  origin: `${kindOf(port)} ${port.namespace}/${port.workload ?? port.service} port ${port.port}`,
  match: {},
  filters: [],
  action: { type: 'forward', backends },
})

const kindOf = ({ external, workload }: ServicePort): string =>
  external !== undefined ? 'ExternalService' : workload !== undefined ? 'Workload' : 'Service'

export function lowerBackends(ports: readonly ServicePort[], { layersOf, profile }: Policies) {
  const perClient: Record<string, Mesh['perClient']['backends'][string]> = {}
  const hashes = new Map<string, readonly HashOn[]>()
  const nearness: Record<string, Near> = {}
  const backends: Record<string, Backend> = {}
  const endpoints: Record<string, EndpointSet> = {}
  for (const port of ports) {
    if (port.external?.isRefused === true) continue
    const { key, service, namespace } = port
    const layers = layersOf(port)
    if (namesClients(layers)) perClient[key] = { protocol: port.protocol, layers }
    const { hash, near, ...calling } = callingAt(layersFor(layers, undefined), port)
    if (hash.length > 0) hashes.set(key, hash)
    const outside = port.external
    const type = outside?.type ?? 'endpoints'
    if (near !== undefined && type === 'endpoints') nearness[key] = near
    backends[key] = {
      name: key,
      service: `${service}.${namespace}`,
      type,
      ...(outside === undefined && (port.outside ?? []).length === 0 ? {} : { isExternal: true }),
      ...(outside?.hosts === undefined ? {} : { hosts: outside.hosts }),
      ...(outside?.tls === undefined ? {} : { tls: outside.tls }),
      port: outside?.port ?? port.port,
      protocol: backendProtocol(port.protocol),
      ...calling,
      // There is nothing to choose from.
      ...(type === 'named' || type === 'original' ? { balance: 'round-robin' as const } : {}),
      identities: port.identities,
      ...(profile === 'modern' || port.identities.length === 0 ? {} : { profile }),
      ...(port.proxyProtocol === undefined ? {} : { proxyProtocol: port.proxyProtocol }),
    }
    if (type === 'endpoints') endpoints[key] = { backend: key, endpoints: port.endpoints }
  }
  return { lowered: { backends, endpoints, near: nearness }, hashes, perClient }
}
