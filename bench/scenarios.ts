/** What is measured: which proxies stand between the client and the application, under what load, and what is promised of it. */

import type { LoadOptions } from './load.ts'
import type { Stand } from './peer.ts'

/** A figure of Weft's: at most so many times that of a peer in the same round, or at most so much. figure: a column of report.ts. */
export type Pledge = { readonly figure: string; readonly most: number; readonly of?: string }

export type Scenario = {
  readonly name: string
  readonly title: string
  /** Client side first. */
  readonly roles: readonly Stand[]
  readonly load: LoadOptions
  /** memory: of one proxy. */
  readonly kind: 'requests' | 'connections' | 'bytes' | 'memory'
  readonly pledges: readonly Pledge[]
  /** Which of the application's ports is behind it; http unless said. */
  readonly application?: 'tcp' | 'grpc'
  /** Why it cannot be measured yet. */
  readonly absent?: string
}

const chain = ['out', 'in'] as const

export const scenarios: readonly Scenario[] = [
  {
    name: 'chain-1k',
    title: 'Two hops, outbound proxy → mutual TLS 1.3 → inbound proxy, HTTP/1.1, 1 KB answers, 64 connections, as fast as it goes',
    roles: chain,
    load: { connections: 64, size: 1024 },
    kind: 'requests',
    pledges: [
      { figure: 'cpuUs', most: 0.35, of: 'envoy-mesh' },
      { figure: 'cpuUs', most: 1, of: 'haproxy' },
      { figure: 'cpuUs', most: 1.6, of: 'haproxy-h2' },
    ],
  },
  {
    name: 'chain-rate',
    title: 'The same two hops at a fixed 1,000 requests/s over 32 connections; latency from the intended moment of sending',
    roles: chain,
    load: { connections: 32, size: 1024, rate: 1000 },
    kind: 'requests',
    pledges: [
      { figure: 'cpuUs', most: 0.65, of: 'envoy' },
      { figure: 'addedP50', most: 0.7, of: 'envoy' },
      { figure: 'p99', most: 1, of: 'envoy' },
    ],
  },
  {
    name: 'chain-64k',
    title: 'The same two hops, 64 KB answers, 64 connections, as fast as it goes',
    roles: chain,
    load: { connections: 64, size: 65_536 },
    kind: 'requests',
    pledges: [{ figure: 'cpuUs', most: 1.15, of: 'envoy' }],
  },
  {
    name: 'chain-post',
    title: 'The same two hops, POST of 100 KB, 64 connections, as fast as it goes',
    roles: chain,
    load: { connections: 64, size: 16, body: 102_400 },
    kind: 'requests',
    pledges: [{ figure: 'cpuUs', most: 1.2, of: 'envoy' }],
  },
  {
    name: 'hop-1k',
    title: 'One hop, HTTP/1.1, 1 KB answers, 64 connections, as fast as it goes',
    roles: ['hop'],
    load: { connections: 64, size: 1024 },
    kind: 'requests',
    pledges: [
      { figure: 'cpuUs', most: 0.5, of: 'envoy-mesh' },
      { figure: 'cpuUs', most: 1.6, of: 'haproxy' },
    ],
  },
  {
    name: 'grpc',
    title:
      'The two hops, gRPC-shaped unary calls of 100 bytes with trailers, HTTP/2 throughout, 8 connections of 8 streams, as fast as it goes',
    roles: ['h2out', 'h2in'],
    load: { mode: 'grpc', connections: 8 },
    kind: 'requests',
    application: 'grpc',
    pledges: [{ figure: 'cpuUs', most: 0.9, of: 'envoy-mesh' }],
  },
  {
    name: 'tcp-bulk',
    title: 'TCP relay, one connection, one way',
    roles: ['tcp'],
    load: { mode: 'bulk', connections: 1, size: 2 ** 30 },
    kind: 'bytes',
    application: 'tcp',
    pledges: [{ figure: 'cpuPerGiB', most: 1.1, of: 'envoy' }],
  },
  {
    name: 'tcp-connect',
    title: 'TCP relay, a new connection each time, 16 at once, one byte back',
    roles: ['tcp'],
    load: { mode: 'tcp', connections: 16 },
    kind: 'connections',
    application: 'tcp',
    pledges: [{ figure: 'cpuUs', most: 1.1, of: 'envoy' }],
  },
  {
    name: 'mtls-connect',
    title: 'The inbound proxy alone, a new mutual TLS 1.3 connection and one request each time, without resumption, 16 at once',
    roles: ['in'],
    load: { mode: 'mtls', connections: 16, size: 16 },
    kind: 'connections',
    pledges: [{ figure: 'cpuUs', most: 1, of: 'haproxy' }],
  },
  {
    name: 'memory',
    title: 'Memory of one proxy, the mean of both of the chain (what processes share is counted in each)',
    roles: chain,
    load: { connections: 1, size: 1024, seconds: 0.3 },
    kind: 'memory',
    pledges: [
      { figure: 'idleMiB', most: 70 },
      { figure: 'heldMiB', most: 85 },
    ],
  },
  {
    name: 'node-memory',
    title: 'Memory of one proxy for the 100 workloads of a host',
    roles: [],
    load: {},
    kind: 'memory',
    pledges: [{ figure: 'idleMiB', most: 150 }],
    absent: 'not yet: there is no proxy for many workloads',
  },
]
