/** Second and third stage: all routes of the documents, attached to the ports of Services, and what their rules come to. */

import type { GRPCRoute, HTTPRoute, TCPRoute, TLSRoute } from '#resources/gateway-api'
import { type Gathered, nameOf, type Note } from '../gather.ts'
import type { Services } from '../services/services.ts'
import { attach, type Attached, type Attachment } from './attach.ts'
import { type Delegation, delegate } from './delegation.ts'
import { findRouteFilters, type RouteFilters } from './extras.ts'
import { type LoweredRoute, lowerRules } from './rules.ts'
import { type LoweredTCP, lowerTCP } from './tcp.ts'

export type RequestRoute = HTTPRoute | GRPCRoute
/** A UDPRoute says what a TCPRoute does. */
export type StreamRoute = TLSRoute | TCPRoute
export type AnyRoute = RequestRoute | StreamRoute

/** http: those of the more specific kind, GRPCRoute, first. tcp: those of UDP too. */
export type AttachedRoutes = {
  readonly http: readonly Attachment<RequestRoute>[]
  readonly tls: readonly Attachment<TLSRoute>[]
  readonly tcp: readonly Attachment<TCPRoute>[]
}

/** http, grpc, tls, tcp, udp: what the parents make of each kind. lowered: what their rules come to. */
export type Routes = {
  readonly requests: readonly RequestRoute[]
  readonly streams: readonly StreamRoute[]
  readonly http: Attached<HTTPRoute>
  readonly grpc: Attached<GRPCRoute>
  readonly tls: Attached<TLSRoute>
  readonly tcp: Attached<TCPRoute>
  readonly udp: Attached<TCPRoute>
  readonly attached: AttachedRoutes
  readonly lowered: { readonly http: ReadonlyMap<RequestRoute, LoweredRoute>; readonly tcp: ReadonlyMap<StreamRoute, LoweredTCP> }
  readonly delegation: Delegation
  readonly filters: RouteFilters
  readonly notes: readonly Note[]
}

export function findRoutes(gathered: Gathered, services: Services): Routes {
  const { grants, httpRoutes, grpcRoutes, tlsRoutes, tcpRoutes, udpRoutes } = gathered
  const http = attach(httpRoutes, gathered, services)
  const tls = attach(tlsRoutes, gathered, services)
  const tcp = attach(tcpRoutes, gathered, services)
  const udp = attach(udpRoutes, gathered, services)
  const grpc = attach(grpcRoutes, gathered, services)
  const requests: readonly RequestRoute[] = [...grpcRoutes, ...httpRoutes]
  const filters = findRouteFilters(gathered.routeFilters)
  const plain = <R extends RequestRoute>(list: readonly R[]) =>
    new Map(list.map(route => [route, lowerRules(route, services, grants, filters)]))
  const delegation = delegate(plain(httpRoutes), grants)
  const streams = [...tlsRoutes, ...tcpRoutes, ...udpRoutes]
  return {
    requests,
    streams,
    http,
    grpc,
    tls,
    tcp,
    udp,
    attached: { http: [...grpc.attachments, ...http.attachments], tls: tls.attachments, tcp: [...tcp.attachments, ...udp.attachments] },
    lowered: {
      http: new Map<RequestRoute, LoweredRoute>([...plain(grpcRoutes), ...delegation.lowered]),
      tcp: new Map(streams.map(route => [route, lowerTCP(route, services, grants)])),
    },
    delegation,
    filters,
    notes: [...http.notes, ...tls.notes, ...tcp.notes, ...udp.notes, ...grpc.notes, ...hostnameNotes(requests, [http, grpc])],
  }
}

/** A mesh is called by address, so that names of hosts tell no requests apart. */
function hostnameNotes(requests: readonly RequestRoute[], attached: readonly Attached<RequestRoute>[]): readonly Note[] {
  const placed = new Set<RequestRoute>(attached.flatMap(({ attachments }) => attachments.map(({ route }) => route)))
  return requests
    .filter(route => (route.spec?.hostnames ?? []).length > 0 && placed.has(route))
    .map(route => ({
      about: `${route.kind} ${nameOf(route)}`,
      path: 'spec.hostnames',
      says: 'says nothing for Services (GEP-1294): match the header Host instead',
    }))
}
