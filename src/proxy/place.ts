/** What everything that serves in one data plane works with: the view of now, who this is, where upstreams are, what is counted, and how much there may be at once. */

import type { Log } from '#base/log'
import type { View } from '#model/view'
import type { Gate } from './access/access.ts'
import type { Exit } from './exit.ts'
import type { Party } from './telemetry/entry.ts'
import type { AccessLogs } from './telemetry/access-logs.ts'
import type { Meter } from './telemetry/meter.ts'
import type { Tracer } from './telemetry/tracer.ts'
import type { Reach } from './upstreams/reach.ts'
import type { Pools } from './upstreams/pool.ts'

export type Place = {
  readonly view: () => View
  /** Resolves when the first view is there, or rejects with `not-ready` after its patience. */
  readonly ready: () => Promise<void>
  readonly isReady: () => boolean
  readonly self: () => Party
  readonly pools: Pools
  readonly reach: Reach
  readonly meter: Meter
  readonly tracer: Tracer
  readonly accessLogs: AccessLogs
  readonly log: Log
  readonly gate: Gate
  /** How long a connection may be silent before it counts as opaque; absent: 60 ms. */
  readonly detectMs?: number | undefined
  readonly exit: Exit
  readonly limits: Limits
  /** Where the control plane is. */
  readonly control?: (() => { readonly host: string; readonly port: number } | undefined) | undefined
}

/** What one proxy carries at once; docs/reference/limits.md says what happens beyond. */
export type Limits = {
  readonly connections: number
  readonly requests: number
  /** How long nothing may pass on an exchange, neither of the request nor of the answer. Tunnels and gRPC, which keep watch themselves, may be silent. */
  readonly stillMs: number
}
export const defaultLimits: Limits = { connections: 16_384, requests: 16_384, stillMs: 300_000 }
