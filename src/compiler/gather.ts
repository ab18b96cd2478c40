/** First stage: resources by kind, each kind oldest first, so that nothing after it depends on the order in which documents came. */

import type { Problem } from '#base/note'
import type { ConfigMap, Namespace, Secret, Service } from '#resources/core'
import { discoveryGroup, type EndpointSlice } from '#resources/discovery'
import type {
  BackendTLSPolicy,
  GRPCRoute,
  Gateway,
  GatewayClass,
  HTTPRoute,
  ListenerSet,
  ReferenceGrant,
  TCPRoute,
  TLSRoute,
  UDPRoute,
} from '#resources/gateway-api'
import { experimentalGroup, gatewayGroup } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import type {
  AccessPolicy,
  AuthenticationPolicy,
  BackendPolicy,
  CertificateIssuer,
  EgressPolicy,
  ExternalAuthorizationPolicy,
  ExternalService,
  FaultPolicy,
  JWTPolicy,
  LoginPolicy,
  MeshResource,
  RateLimitPolicy,
  ServiceSubset,
  TelemetryPolicy,
  Revocation,
  RouteFilter,
  RoutePolicy,
  TrustDomain,
} from '#resources/weft'
import { weftGroup } from '#resources/weft'

/** A remark for the operator that belongs to no condition. */
export type Note = Problem

export type Gathered = {
  readonly services: readonly Service[]
  readonly endpointSlices: readonly EndpointSlice[]
  readonly subsets: readonly ServiceSubset[]
  readonly httpRoutes: readonly HTTPRoute[]
  readonly grpcRoutes: readonly GRPCRoute[]
  readonly tlsRoutes: readonly TLSRoute[]
  readonly tcpRoutes: readonly TCPRoute[]
  readonly udpRoutes: readonly UDPRoute[]
  readonly grants: readonly ReferenceGrant[]
  readonly gateways: readonly Gateway[]
  readonly gatewayClasses: readonly GatewayClass[]
  readonly listenerSets: readonly ListenerSet[]
  readonly namespaces: readonly Namespace[]
  readonly secrets: readonly Secret[]
  readonly configMaps: readonly ConfigMap[]
  /** XBackendTrafficPolicies among them, of which the fields mean the same. */
  readonly backendPolicies: readonly BackendPolicy[]
  readonly accessPolicies: readonly AccessPolicy[]
  readonly authenticationPolicies: readonly AuthenticationPolicy[]
  readonly faultPolicies: readonly FaultPolicy[]
  readonly routePolicies: readonly RoutePolicy[]
  readonly rateLimitPolicies: readonly RateLimitPolicy[]
  readonly externalAuthorizationPolicies: readonly ExternalAuthorizationPolicy[]
  readonly telemetryPolicies: readonly TelemetryPolicy[]
  readonly jwtPolicies: readonly JWTPolicy[]
  readonly loginPolicies: readonly LoginPolicy[]
  readonly backendTLSPolicies: readonly BackendTLSPolicy[]
  readonly meshes: readonly MeshResource[]
  readonly externalServices: readonly ExternalService[]
  readonly egressPolicies: readonly EgressPolicy[]
  readonly routeFilters: readonly RouteFilter[]
  readonly revocations: readonly Revocation[]
  readonly trustDomains: readonly TrustDomain[]
  readonly certificateIssuers: readonly CertificateIssuer[]
}
export type TargetRef = { readonly group: string; readonly kind: string; readonly name: string; readonly sectionName?: string | undefined }

export const namespaceOf = (resource: Resource): string => resource.metadata.namespace ?? 'default'
export const nameOf = (resource: Resource): string => `${namespaceOf(resource)}/${resource.metadata.name}`
export const groupOf = (resource: Resource): string => (resource.apiVersion.includes('/') ? resource.apiVersion.split('/')[0]! : '')

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

/** Gateway API's rule for ties: the oldest first, then by `namespace/name`. */
export const older = (one: Resource, other: Resource): number =>
  compare(one.metadata.creationTimestamp ?? '', other.metadata.creationTimestamp ?? '') || compare(nameOf(one), nameOf(other))

export function gather(resources: readonly Resource[]): Gathered {
  const of = <T extends Resource>(group: string, ...kinds: readonly string[]): readonly T[] =>
    (resources.filter(each => kinds.includes(each.kind) && groupOf(each) === group) as T[]).sort(
      (one, other) => compare(one.kind, other.kind) || older(one, other),
    )
  return {
    services: of('', 'Service'),
    endpointSlices: of(discoveryGroup, 'EndpointSlice'),
    subsets: of(weftGroup, 'ServiceSubset'),
    httpRoutes: of(gatewayGroup, 'HTTPRoute'),
    grpcRoutes: of(gatewayGroup, 'GRPCRoute'),
    tlsRoutes: of(gatewayGroup, 'TLSRoute'),
    tcpRoutes: of(gatewayGroup, 'TCPRoute'),
    udpRoutes: of(gatewayGroup, 'UDPRoute'),
    grants: of(gatewayGroup, 'ReferenceGrant'),
    gateways: of(gatewayGroup, 'Gateway'),
    gatewayClasses: of(gatewayGroup, 'GatewayClass'),
    listenerSets: of(gatewayGroup, 'ListenerSet'),
    namespaces: of('', 'Namespace'),
    secrets: of('', 'Secret'),
    configMaps: of('', 'ConfigMap'),
    backendPolicies: [
      ...of<BackendPolicy>(weftGroup, 'BackendPolicy'),
      ...of<BackendPolicy>(experimentalGroup, 'XBackendTrafficPolicy'),
    ].sort(older),
    accessPolicies: of(weftGroup, 'AccessPolicy'),
    authenticationPolicies: of(weftGroup, 'AuthenticationPolicy'),
    faultPolicies: of(weftGroup, 'FaultPolicy'),
    routePolicies: of(weftGroup, 'RoutePolicy'),
    rateLimitPolicies: of(weftGroup, 'RateLimitPolicy'),
    externalAuthorizationPolicies: of(weftGroup, 'ExternalAuthorizationPolicy'),
    telemetryPolicies: of(weftGroup, 'TelemetryPolicy'),
    jwtPolicies: of(weftGroup, 'JWTPolicy'),
    loginPolicies: of(weftGroup, 'LoginPolicy'),
    backendTLSPolicies: of(gatewayGroup, 'BackendTLSPolicy'),
    meshes: of(weftGroup, 'Mesh'),
    externalServices: of(weftGroup, 'ExternalService'),
    egressPolicies: of(weftGroup, 'EgressPolicy'),
    routeFilters: of(weftGroup, 'RouteFilter'),
    revocations: of(weftGroup, 'Revocation'),
    trustDomains: of(weftGroup, 'TrustDomain'),
    certificateIssuers: of(weftGroup, 'CertificateIssuer'),
  }
}
