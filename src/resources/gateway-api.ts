/** Kinds of gateway.networking.k8s.io, standard and experimental channel, written after the specification. */

import type { Kind } from './kind.ts'
import { backendTLSPolicy } from './gateway-api/backend-tls-policy.ts'
import { gateway, gatewayClass, listenerSet } from './gateway-api/gateway.ts'
import { grpcRoute } from './gateway-api/grpc-route.ts'
import { httpRoute } from './gateway-api/http-route.ts'
import { referenceGrant } from './gateway-api/reference-grant.ts'
import { tcpRoute, tlsRoute, udpRoute } from './gateway-api/stream-route.ts'
import { xBackendTrafficPolicy } from './gateway-api/x-backend-traffic-policy.ts'

export type { BackendTLSPolicy } from './gateway-api/backend-tls-policy.ts'
export type { HTTPFilter, PathModifier } from './gateway-api/filters.ts'
export type { Gateway, GatewayClass, ListenerSet } from './gateway-api/gateway.ts'
export type { GRPCMatch, GRPCRoute, GRPCRule } from './gateway-api/grpc-route.ts'
export type { HTTPMatch, HTTPRoute, HTTPRouteSpec, HTTPRule } from './gateway-api/http-route.ts'
export type { ReferenceGrant, ReferenceGrantSpec } from './gateway-api/reference-grant.ts'
export type { ListenerShape } from './gateway-api/listeners.ts'
export type { BackendRef, ParentRef } from './gateway-api/references.ts'
export { experimentalGroup } from './gateway-api/x-backend-traffic-policy.ts'
export { gatewayGroup } from './gateway-api/references.ts'
export type { TCPRoute, TCPRouteSpec, TLSRoute, UDPRoute } from './gateway-api/stream-route.ts'

export const gatewayKinds: readonly Kind[] = [
  gatewayClass,
  gateway,
  listenerSet,
  httpRoute,
  grpcRoute,
  tcpRoute,
  tlsRoute,
  udpRoute,
  referenceGrant,
  backendTLSPolicy,
  xBackendTrafficPolicy,
]
