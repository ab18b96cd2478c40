/** The names that both ends of an xDS stream agree on: type URLs, reserved resource names, where Weft's labels are kept. */

export const typeUrls = {
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoints: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
} as const

export type TypeUrl = (typeof typeUrls)[keyof typeof typeUrls]

/** The cluster that does not exist: where the share of an invalid reference goes; answered 500. */
export const invalidCluster = 'weft-invalid'

/** The Listener resource that carries the mesh's DNS table. */
export const dnsListener = 'dns'

/** SDS names as Istio's agents use them: the accepted roots, from ADS; the workload's own certificate, made where it is used and never sent. */
export const rootSecret = 'ROOTCA'
export const ownSecret = 'default'

/** SDS name of a generic secret: whom operators do not believe any more, as JSON (`View.trust.revoked`). Envoys do not ask for it: they have it as RBAC and as revocation lists. */
export const revokedSecret = 'weft-revoked'

/** A static cluster of Envoy's bootstrap: the agent beside it that serves `default`. */
export const agentCluster = 'weft-agent'

/** The key in `filter_metadata` for labels that Envoy has no field for. */
export const weftMetadata = 'dev.weft'

/** Envoy's own key for choosing a transport socket by endpoint, and the value that means mutual TLS of the mesh. */
export const socketMetadata = 'envoy.transport_socket_match'
export const meshTls = { tlsMode: 'weft' } as const

/** `8080.catalog.default.mesh`: the name in the TLS hello, for proxies that many workloads share. */
export const serverNameOf = (backend: { readonly port: number; readonly service: string }): string =>
  `${backend.port}.${backend.service}.mesh`

/** What the upstream TLS hello offers: opaque bytes offer nothing. */
export const alpnOf = { http1: ['http/1.1'], http2: ['h2'], downstream: [], tcp: [], udp: ['h2'] } as const satisfies Record<
  string,
  readonly string[]
>

/** One resource as it goes over every stream: encoded once. `version` is a hash of its content. */
export type EncodedResource = {
  readonly name: string
  readonly typeUrl: TypeUrl
  readonly version: string
  /** The resource message itself. */
  readonly body: Uint8Array
  /** The same as field `resources` of a DeltaDiscoveryResponse, tag and length included. */
  readonly deltaField: Uint8Array
}
