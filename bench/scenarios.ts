/** What is measured: which roles stand between the client and the application, and under what load. */

import type { LoadOptions } from './load.ts'
import type { Role } from './view.ts'

export type Scenario = {
  readonly name: string
  readonly title: string
  /** Client side first; none in `direct`. */
  readonly roles: readonly Role[]
  readonly load: LoadOptions
  readonly kind: 'requests' | 'connections' | 'bytes' | 'memory'
}

const chain: readonly Role[] = ['out', 'in']

export const scenarios: readonly Scenario[] = [
  {
    name: 'hop-1k',
    title: 'One hop, HTTP/1.1, 1 KB answers, 64 connections, as fast as it goes',
    roles: ['hop'],
    load: { connections: 64, size: 1024 },
    kind: 'requests',
  },
  {
    name: 'chain-1k',
    title: 'Two hops, outbound proxy → mutual TLS 1.3 → inbound proxy, HTTP/1.1, 1 KB answers, 64 connections, as fast as it goes',
    roles: chain,
    load: { connections: 64, size: 1024 },
    kind: 'requests',
  },
  {
    name: 'chain-rate',
    title: 'The same two hops at a fixed 1,000 requests/s over 32 connections; latency from the intended moment of sending',
    roles: chain,
    load: { connections: 32, size: 1024, rate: 1000 },
    kind: 'requests',
  },
  {
    name: 'chain-64k',
    title: 'The same two hops, 64 KB answers, 64 connections, as fast as it goes',
    roles: chain,
    load: { connections: 64, size: 65_536 },
    kind: 'requests',
  },
  {
    name: 'tcp-bulk',
    title: 'TCP relay, one connection, one way',
    roles: ['tcp'],
    load: { mode: 'bulk', connections: 1, size: 2 ** 30 },
    kind: 'bytes',
  },
  {
    name: 'tcp-connect',
    title: 'TCP relay, a new connection each time, 16 at once, one byte back',
    roles: ['tcp'],
    load: { mode: 'tcp', connections: 16 },
    kind: 'connections',
  },
  {
    name: 'memory',
    title: 'Memory of both proxies of the chain together (what processes share is counted in each)',
    roles: chain,
    load: { connections: 1, size: 1024, seconds: 0.3 },
    kind: 'memory',
  },
]
