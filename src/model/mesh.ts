/** The whole mesh as plain data: what the compiler makes of all resources, and from which each proxy's view is cut. */

import type { Backend, DnsName, EndpointSet, Listener, Protocol, RouteTable } from './view.ts'

/** What clients call, keyed by name: a listener and, where HTTP is spoken, a route table for each service port. */
export type Outbound = { readonly listeners: Readonly<Record<string, Listener>>; readonly routes: Readonly<Record<string, RouteTable>> }

/** What a Service says of the ports of the workloads that it selects. target: number or name of the workload's port. */
export type SelectedPort = {
  readonly selector: Readonly<Record<string, string>>
  readonly target: number | string
  readonly protocol: Protocol
  /** It expects a PROXY header in front of each connection. */
  readonly proxyProtocol?: 'v1' | 'v2'
}

/** Objects that did not change between two compiles are the same objects, so that their encoding can be kept. */
export type Mesh = {
  readonly trust: { readonly domain: string; readonly roots: readonly string[] }
  readonly mtls: 'strict' | 'permissive'
  /** For clients of every namespace: producer routes. */
  readonly outbound: Outbound
  /** By namespace of the client: consumer routes, which stand in place of the entries of the same name. */
  readonly consumers: Readonly<Record<string, Outbound>>
  readonly backends: Readonly<Record<string, Backend>>
  readonly endpoints: Readonly<Record<string, EndpointSet>>
  /** qualified: names that hold everywhere; short: by namespace of the client. Both in order of name. */
  readonly dns: { readonly qualified: readonly DnsName[]; readonly short: Readonly<Record<string, readonly DnsName[]>> }
  /** By namespace: protocols that Services declare for ports of workloads, of which the workload itself does not know. */
  readonly declared: Readonly<Record<string, readonly SelectedPort[]>>
}
