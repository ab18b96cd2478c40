/** The adaptiveConcurrency of BackendPolicies as the model has it, for the workloads behind a port: it is they who are spared, whoever calls. */

import type { AdaptiveConcurrency } from '#model/listener'
import type { Mesh } from '#model/mesh'
import { durationMs } from '#resources/duration'
import type { BackendPolicySpec } from '#resources/weft'
import { specOf } from './fields.ts'
import { layersFor } from './layers.ts'
import { merge } from './merge.ts'
import type { Policies } from './backend.ts'
import { isHttp } from '../services/protocol.ts'
import type { ServicePort } from '../services/services.ts'

/** By namespace. */
export function findConcurrency(ports: readonly ServicePort[], { layersOf }: Policies): Mesh['concurrency'] {
  const found: Record<string, Mesh['concurrency'][string][number][]> = {}
  for (const port of ports) {
    if (!isHttp(port.protocol) || port.external !== undefined) continue
    const said = specOf('BackendPolicy', merge(layersFor(layersOf(port), undefined))) as Partial<BackendPolicySpec>
    if (said.adaptiveConcurrency === undefined) continue
    const { namespace, selector, target } = port
    ;(found[namespace] ??= []).push({ selector, target, concurrency: lowered(said.adaptiveConcurrency) })
  }
  return found
}

const lowered = ({
  interval,
  percentile,
  maxLimit,
  roundTrip,
}: NonNullable<BackendPolicySpec['adaptiveConcurrency']>): AdaptiveConcurrency => ({
  percentile,
  intervalMs: durationMs(interval),
  mostLimit: maxLimit,
  roundTrip: {
    intervalMs: durationMs(roundTrip.interval),
    requests: roundTrip.requests,
    jitterPercent: roundTrip.jitter,
    limit: roundTrip.limit,
    bufferPercent: roundTrip.buffer,
  },
})
