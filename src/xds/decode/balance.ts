/** The fields of a Cluster that say how an endpoint is chosen → Balancing. */

import type { Backend, Balancing } from '#model/backend'
import { peakEwma } from '../encode/balance.ts'
import {
  type Cluster,
  Cluster_CommonLbConfigSchema,
  Cluster_LbPolicy,
  Cluster_LeastRequestLbConfigSchema,
  Cluster_MaglevLbConfigSchema,
  Cluster_RingHashLbConfigSchema,
  Cluster_RoundRobinLbConfigSchema,
  Cluster_SlowStartConfigSchema,
} from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { SlowStartConfigSchema } from '../gen/envoy/extensions/load_balancing_policies/common/v3/common_pb.ts'
import {
  LeastRequest_SelectionMethod,
  LeastRequestSchema,
} from '../gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.ts'
import { TypedStructSchema } from '../gen/xds/type/v3/typed_struct_pb.ts'
import { carries, msOf, refuse, typeName, unpack } from './carried.ts'

const checkCommon = carries(Cluster_CommonLbConfigSchema, ['healthy_panic_threshold'])
const checkSlowStart = carries(Cluster_SlowStartConfigSchema, ['slow_start_window'])
const checkSlowStartOfPolicy = carries(SlowStartConfigSchema, ['slow_start_window'])
const checkRoundRobin = carries(Cluster_RoundRobinLbConfigSchema, ['slow_start_config'])
const checkLeast = carries(Cluster_LeastRequestLbConfigSchema, ['choice_count', 'slow_start_config'])
const checkRing = carries(Cluster_RingHashLbConfigSchema, ['minimum_ring_size', 'maximum_ring_size'])
const checkMaglev = carries(Cluster_MaglevLbConfigSchema, ['table_size'])
const checkScan = carries(LeastRequestSchema, ['choice_count', 'selection_method', 'slow_start_config'])

/** Envoy's own default. */
const usualPanicPercent = 50
/** A ring of Envoy may have eight million places; so many are half a megabyte. */
const mostPlaces = 131_072
const largestTable = 5_000_011

const names: Partial<Record<Cluster_LbPolicy, Backend['balance']>> = {
  [Cluster_LbPolicy.ROUND_ROBIN]: 'round-robin',
  [Cluster_LbPolicy.RANDOM]: 'random',
  [Cluster_LbPolicy.LEAST_REQUEST]: 'least-request',
  [Cluster_LbPolicy.RING_HASH]: 'ring-hash',
  [Cluster_LbPolicy.MAGLEV]: 'maglev',
}

export function balanceOf(message: Cluster, type: Backend['type']): Pick<Backend, 'balance' | 'balancing'> {
  const chosen = message.loadBalancingPolicy === undefined ? undefined : listedOf(message.loadBalancingPolicy.policies)
  const balance = chosen?.balance ?? names[message.lbPolicy]
  if (balance === undefined) refuse('lb_policy', 'only ROUND_ROBIN, RANDOM, LEAST_REQUEST, RING_HASH and MAGLEV are carried out')
  if (chosen !== undefined && message.lbConfig.case !== undefined)
    refuse(message.lbConfig.case, 'not carried out beside load_balancing_policy')
  const balancing: Balancing = { ...(chosen?.balancing ?? configured(message, balance)), ...(type === 'local' ? {} : panicOf(message)) }
  return { balance, ...(Object.keys(balancing).length === 0 ? {} : { balancing }) }
}

function panicOf({ commonLbConfig }: Cluster): Balancing {
  if (commonLbConfig !== undefined) checkCommon(commonLbConfig, 'common_lb_config')
  const percent = commonLbConfig?.healthyPanicThreshold?.value ?? usualPanicPercent
  return percent > 0 ? { panicPercent: percent } : {}
}

/** Which config goes with which policy. */
const configs = {
  roundRobinLbConfig: 'round-robin',
  leastRequestLbConfig: 'least-request',
  ringHashLbConfig: 'ring-hash',
  maglevLbConfig: 'maglev',
} as const

function configured({ lbConfig }: Cluster, balance: Backend['balance']): Balancing {
  if (lbConfig.case === undefined) return {}
  if (lbConfig.case === 'originalDstLbConfig') refuse('original_dst_lb_config', 'not carried out by this proxy')
  if (configs[lbConfig.case] !== balance) refuse('lb_config', `is for ${configs[lbConfig.case]}, and lb_policy is ${balance}`)
  switch (lbConfig.case) {
    case 'roundRobinLbConfig':
      checkRoundRobin(lbConfig.value, 'round_robin_lb_config')
      return slowStartOf(lbConfig.value.slowStartConfig, 'round_robin_lb_config.slow_start_config')
    case 'leastRequestLbConfig': {
      checkLeast(lbConfig.value, 'least_request_lb_config')
      const { choiceCount, slowStartConfig } = lbConfig.value
      return {
        ...(choiceCount === undefined ? {} : { choices: choiceCount }),
        ...slowStartOf(slowStartConfig, 'least_request_lb_config.slow_start_config'),
      }
    }
    case 'ringHashLbConfig': {
      checkRing(lbConfig.value, 'ring_hash_lb_config')
      const { minimumRingSize, maximumRingSize } = lbConfig.value
      for (const [field, size] of [
        ['minimum_ring_size', minimumRingSize],
        ['maximum_ring_size', maximumRingSize],
      ] as const)
        if (size !== undefined && (size < 1n || size > 8_388_608n))
          refuse(`ring_hash_lb_config.${field}`, `${size} is not from 1 to 8388608`)
      const bounded = (size: bigint): number => Math.min(Number(size), mostPlaces)
      const ringSize = {
        ...(minimumRingSize === undefined ? {} : { min: bounded(minimumRingSize) }),
        ...(maximumRingSize === undefined ? {} : { max: bounded(maximumRingSize) }),
      }
      return Object.keys(ringSize).length === 0 ? {} : { ringSize }
    }
    case 'maglevLbConfig': {
      checkMaglev(lbConfig.value, 'maglev_lb_config')
      const size = lbConfig.value.tableSize
      if (size === undefined) return {}
      if (size > BigInt(largestTable) || !isPrime(Number(size)))
        refuse('maglev_lb_config.table_size', `${size} is not a prime up to ${largestTable}`)
      return { tableSize: Number(size) }
    }
  }
}

type SlowStart = { readonly slowStartWindow?: Parameters<typeof msOf>[0] | undefined }
const windowOf = ({ slowStartWindow }: SlowStart): Balancing =>
  slowStartWindow === undefined ? {} : { slowStartMs: msOf(slowStartWindow) }

function slowStartOf(config: Parameters<typeof checkSlowStart>[0] | undefined, where: string): Balancing {
  if (config === undefined) return {}
  checkSlowStart(config, where)
  return windowOf(config)
}

type Policies = NonNullable<Cluster['loadBalancingPolicy']>['policies']

/** The first in the list that is known. */
function listedOf(policies: Policies): Pick<Backend, 'balance' | 'balancing'> {
  for (const [at, { typedExtensionConfig }] of policies.entries()) {
    const where = `load_balancing_policy.policies[${at}]`
    const any = typedExtensionConfig?.typedConfig
    if (typeName(any) === LeastRequestSchema.typeName) {
      const config = unpack(any, LeastRequestSchema, where)
      checkScan(config, where)
      if (config.slowStartConfig !== undefined) checkSlowStartOfPolicy(config.slowStartConfig, `${where}.slow_start_config`)
      const slow = config.slowStartConfig === undefined ? {} : windowOf(config.slowStartConfig)
      const isScan = config.selectionMethod === LeastRequest_SelectionMethod.FULL_SCAN
      const choices = isScan ? 'all' : config.choiceCount
      return { balance: 'least-request', balancing: { ...(choices === undefined ? {} : { choices }), ...slow } }
    }
    if (typeName(any) !== TypedStructSchema.typeName) continue
    const { typeUrl, value } = unpack(any, TypedStructSchema, where)
    if (typeUrl !== peakEwma.typeUrl) continue
    const slow = value?.['slowStartMs']
    return { balance: 'peak-ewma', balancing: typeof slow === 'number' && slow > 0 ? { slowStartMs: slow } : {} }
  }
  return refuse('load_balancing_policy', 'names no policy that is carried out here: least_request or dev.weft.peak_ewma')
}

function isPrime(number: number): boolean {
  if (number < 2) return false
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false
  return true
}
