/** How an endpoint is chosen, in Envoy's fields of a Cluster; peak-EWMA, for which Envoy has none, is an extension that it passes over for the next in the list. */

import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf'
import type { Backend, Balancing } from '#model/backend'
import { Cluster_LbPolicy, type ClusterSchema, type LoadBalancingPolicy_PolicySchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import {
  LeastRequest_SelectionMethod,
  LeastRequestSchema,
} from '../gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.ts'
import { TypedStructSchema } from '../gen/xds/type/v3/typed_struct_pb.ts'
import { duration, typed } from './source.ts'

/** A TypedStruct of this type, as gRFC A52 has policies of one's own: `{ slowStartMs? }`. */
export const peakEwma = { name: 'dev.weft.peak_ewma', typeUrl: 'type.googleapis.com/dev.weft.PeakEwma' } as const
const leastRequestPolicy = 'envoy.load_balancing_policies.least_request'

type Init = MessageInitShape<typeof ClusterSchema>

const policies = {
  'round-robin': Cluster_LbPolicy.ROUND_ROBIN,
  random: Cluster_LbPolicy.RANDOM,
  'least-request': Cluster_LbPolicy.LEAST_REQUEST,
  'peak-ewma': Cluster_LbPolicy.LEAST_REQUEST,
  'ring-hash': Cluster_LbPolicy.RING_HASH,
  maglev: Cluster_LbPolicy.MAGLEV,
} as const

export function encodeBalance({
  balance,
  balancing = {},
  type,
}: Backend): Pick<Init, 'lbPolicy' | 'lbConfig' | 'loadBalancingPolicy' | 'commonLbConfig'> {
  const list = listOf(balance, balancing)
  const lbConfig = configOf(balance, balancing)
  return {
    lbPolicy: policies[balance],
    ...(lbConfig === undefined ? {} : { lbConfig }),
    ...(list.length === 0 ? {} : { loadBalancingPolicy: { policies: list } }),
    // Said also where it is never, for Envoy would take half.
    ...(type !== 'local' ? { commonLbConfig: { healthyPanicThreshold: { value: balancing.panicPercent ?? 0 } } } : {}),
  }
}

function configOf(balance: Backend['balance'], { choices, slowStartMs, ringSize, tableSize }: Balancing): Init['lbConfig'] {
  const slow = slowStart(slowStartMs)
  if (balance === 'round-robin' && slowStartMs !== undefined) return { case: 'roundRobinLbConfig', value: slow }
  if (balance === 'least-request' && (typeof choices === 'number' || (slowStartMs !== undefined && choices === undefined)))
    return { case: 'leastRequestLbConfig', value: { ...(typeof choices === 'number' ? { choiceCount: choices } : {}), ...slow } }
  if (balance === 'ring-hash' && ringSize !== undefined)
    return {
      case: 'ringHashLbConfig',
      value: {
        ...(ringSize.min === undefined ? {} : { minimumRingSize: BigInt(ringSize.min) }),
        ...(ringSize.max === undefined ? {} : { maximumRingSize: BigInt(ringSize.max) }),
      },
    }
  if (balance === 'maglev' && tableSize !== undefined) return { case: 'maglevLbConfig', value: { tableSize: BigInt(tableSize) } }
  return undefined
}

/** Where the older fields do not suffice. */
function listOf(
  balance: Backend['balance'],
  { choices, slowStartMs }: Balancing,
): MessageInitShape<typeof LoadBalancingPolicy_PolicySchema>[] {
  const isScan = balance === 'least-request' && choices === 'all'
  if (!isScan && balance !== 'peak-ewma') return []
  const leastRequest = create(LeastRequestSchema, {
    ...(isScan ? { selectionMethod: LeastRequest_SelectionMethod.FULL_SCAN } : {}),
    ...slowStart(slowStartMs),
  })
  const known = { typedExtensionConfig: { name: leastRequestPolicy, typedConfig: typed(LeastRequestSchema, leastRequest).value } }
  if (isScan) return [known]
  const value: JsonObject = slowStartMs === undefined ? {} : { slowStartMs }
  const own = create(TypedStructSchema, { typeUrl: peakEwma.typeUrl, value })
  return [{ typedExtensionConfig: { name: peakEwma.name, typedConfig: typed(TypedStructSchema, own).value } }, known]
}

const slowStart = (ms: number | undefined) => (ms === undefined ? {} : { slowStartConfig: { slowStartWindow: duration(ms) } })
