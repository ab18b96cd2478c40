/** The rate limit service of the control plane: counts for all proxies, each of which may ask about the limits of its own workload only. */

import type { Log } from '#base/log'
import type { Taken } from '#base/token-bucket'
import { RpcError, rpcCodes, type Service, unary } from '#io/grpc'
import type { Mesh, SharedLimit } from '#model/mesh'
import { bucketName, controlBackend, limitField, policyField, type Rate, rateFor, seconds } from '#model/rate-limit'
import { type LimitDescriptor, type LimitReply, type LimitStatus, shouldRateLimit } from '#xds/rpcs'
import type { CompileLoop } from './compile-loop.ts'
import type { Counters } from './shared-limits/counters.ts'

export { type Counters, countersInMemory, countersInRedis } from './shared-limits/counters.ts'

export type SharedLimitsOptions = {
  readonly loop: Pick<CompileLoop, 'current' | 'onCompiled'>
  readonly counters: Counters
  readonly log: Log
}

/** For serveGrpc, and what ends it. */
export function sharedLimits({ loop, counters, log }: SharedLimitsOptions): { readonly service: Service; readonly close: () => void } {
  let isSilent = false
  const take = async (limit: SharedLimit, values: readonly string[], rate: Rate, hits: number): Promise<Taken> => {
    try {
      const taken = await counters.take(limit.name, bucketName(values), rate, hits)
      isSilent = false
      return taken
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown)
      if (!isSilent) log.warn('global limits cannot be counted; their policies say whether requests go on', { reason })
      isSilent = true
      throw new RpcError(rpcCodes.unavailable, reason)
    }
  }
  const judge = async (descriptor: LimitDescriptor, mesh: Mesh, hits: number, peer: string | undefined): Promise<Judged | undefined> => {
    const [first, ...others] = descriptor.entries
    const limit = first?.key === 'policy' ? mesh.sharedLimits[first.value] : undefined
    if (limit === undefined) return undefined
    if (peer === undefined || !limit.spenders.includes(peer))
      throw new RpcError(
        rpcCodes.permissionDenied,
        `${peer ?? 'nobody known'} may not ask about RateLimitPolicy ${limit.name}: it does not hold for its workload`,
      )
    if (others.length !== (limit.by?.length ?? 0))
      throw new RpcError(
        rpcCodes.invalidArgument,
        `RateLimitPolicy ${limit.name} goes by ${limit.by?.length ?? 0} keys, and ${others.length} came`,
      )
    const values = others.map(({ value }) => value)
    const rate = rateFor(limit, values)
    return { limit, rate, taken: await take(limit, values, rate, hits) }
  }
  const service = unary(shouldRateLimit, async ({ domain, descriptors, hits }, { peer }): Promise<LimitReply> => {
    const mesh = loop.current?.mesh
    if (mesh === undefined) throw new RpcError(rpcCodes.unavailable, 'nothing is compiled yet')
    const { limitService } = mesh
    if (limitService.backend !== controlBackend || limitService.domain !== domain)
      throw new RpcError(rpcCodes.permissionDenied, `the control plane does not count for the domain "${domain}"`)
    const judged = await Promise.all(descriptors.map(each => judge(each, mesh, hits, peer)))
    const statuses = judged.map(statusOf)
    const told = judged.find(each => each?.taken.isTaken === false) ?? judged.find(each => each !== undefined)
    return {
      isOver: statuses.some(({ isOver }) => isOver),
      statuses,
      responseHeaders: told === undefined ? [] : fieldsOf(told),
      requestHeaders: [],
    }
  })
  const close = loop.onCompiled(({ mesh }) => counters.keep(new Set(Object.keys(mesh.sharedLimits))))
  return { service, close }
}

type Judged = { readonly limit: SharedLimit; readonly rate: Rate; readonly taken: Taken }

/** What no policy speaks of is not limited. */
function statusOf(judged: Judged | undefined): LimitStatus {
  if (judged === undefined) return { isOver: false, remaining: 0 }
  const { limit, rate, taken } = judged
  return {
    isOver: !taken.isTaken,
    limit: { name: limit.name, requests: rate.requests, intervalMs: rate.intervalMs },
    remaining: taken.remaining,
    resetMs: taken.isTaken ? taken.fullMs : taken.nextMs,
  }
}

const fieldsOf = ({ limit: { name }, rate, taken }: Judged) => [
  { name: 'ratelimit-policy', value: policyField(name, rate) },
  { name: 'ratelimit', value: limitField(name, taken.remaining, taken.remaining === 0 ? taken.nextMs : taken.fullMs) },
  ...(taken.isTaken ? [] : [{ name: 'retry-after', value: seconds(taken.nextMs) }]),
]
