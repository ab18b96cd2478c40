/** What is running where: the inventory that a platform gives to the compiler. Plain data. */

import type { Health, Locality } from './backend.ts'
import type { Protocol } from './listener.ts'

/** port: where the process listens. bind: where its proxy listens for callers on the mesh; absent: reached directly, without mTLS. */
export type WorkloadPort = {
  readonly name: string
  readonly port: number
  readonly protocol: Protocol
  readonly bind?: { readonly host: string; readonly port: number }
}

/** One running instance. `name` is unique in its namespace: `orders-7f3a2c`. */
export type Workload = {
  readonly name: string
  readonly namespace: string
  readonly service: string // the service it belongs to by name, also its default label `app`
  readonly labels: Readonly<Record<string, string>>
  readonly identity: string // SPIFFE id
  /** Of the mesh, of this workload alone: where others call it and not its service. Of a block of `virtualBlocks`. */
  readonly meshAddress?: string
  /** Where ports without `bind` are reached, in plaintext; without it such ports are no endpoints. */
  readonly address?: string
  readonly ports: readonly WorkloadPort[]
  readonly health: Health
  /** Of the traffic, beside other workloads of its service; absent: 1. 0 gets nothing. */
  readonly weight?: number
  readonly locality?: Locality
  readonly gateway?: GatewayPlace
}

/** What a proxy that serves no program carries out: the Gateway of this name in its namespace. address: where callers outside the mesh reach it. */
export type GatewayPlace = { readonly name: string; readonly address: string }

/** The service account of the proxies of a Gateway: its name and that of the class, as what is made for a Gateway is called (GEP-1762). */
export const gatewayService = (name: string): string => `${name}-weft`

export type Inventory = { readonly workloads: readonly Workload[] }

/**
 * How readiness is found: tcp connects to the ports; http asks for the path and wants 2xx or 3xx; grpc calls grpc.health.v1 for the service; command: a program
 * that the proxy knows, and the control plane does not, ends with 0; none: ready once started.
 */
export type ReadinessProbe = (
  | { readonly type: 'tcp' | 'none' | 'command' }
  | { readonly type: 'http'; readonly port: number; readonly path: string }
  | { readonly type: 'grpc'; readonly port: number; readonly service: string }
) & {
  /** Absent: each second, a second for an answer, and one failure is enough. */
  readonly often?: ProbeTimes
}
export type ProbeTimes = { readonly intervalMs: number; readonly timeoutMs: number; readonly failures: number }

/** What a proxy says of itself when it connects: the metadata of its xDS Node. */
export type ProxyNode = {
  readonly id: string // `NAME.NAMESPACE`
  readonly workload: string
  readonly namespace: string
  readonly service: string
  readonly labels: Readonly<Record<string, string>>
  readonly ports: readonly WorkloadPort[]
  readonly probe: ReadinessProbe
  /** Of the traffic, beside other workloads of its service; absent: 1. 0 gets nothing. */
  readonly weight?: number
  readonly locality?: Locality
  readonly gateway?: GatewayPlace
  /** It is bound to addresses of services on loopback, those of this block: 127.BLOCK.x.y. Absent: connections are brought to it. */
  readonly loopback?: number
  /** It is an Envoy, which has no means for some of what a view may say. */
  readonly isEnvoy?: true
  readonly admin?: string // URL of the proxy's admin and metrics, reachable from the control plane's host only
  readonly version: string // of Weft
}
