/** Envoy's rate limit service protocol (envoy.service.ratelimit.v3), as proxies speak it and the control plane answers it. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Rpc } from '#base/rpc'
import type { NameValue } from '#model/filter'
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code as Code,
  RateLimitResponse_RateLimit_Unit as Unit,
  RateLimitResponseSchema,
} from '../gen/envoy/service/ratelimit/v3/rls_pb.ts'
import { RateLimitUnit } from '../gen/envoy/type/v3/ratelimit_unit_pb.ts'

/** limit: how many in a second, minute, hour or day, for a service that is to be told. */
export type LimitDescriptor = {
  readonly entries: readonly { readonly key: string; readonly value: string }[]
  readonly limit?: { readonly requests: number; readonly intervalMs: number }
}
/** hits: how many requests this asks for; 0 counts as 1. */
export type LimitQuestion = { readonly domain: string; readonly descriptors: readonly LimitDescriptor[]; readonly hits: number }
/** Of one descriptor. limit: where it has one of a unit. resetMs: until a further request is let in, or all of them are. */
export type LimitStatus = {
  readonly isOver: boolean
  readonly limit?: { readonly name: string; readonly requests: number; readonly intervalMs: number }
  readonly remaining: number
  readonly resetMs?: number
}
export type LimitReply = {
  readonly isOver: boolean
  readonly statuses: readonly LimitStatus[]
  readonly responseHeaders: readonly NameValue[]
  readonly requestHeaders: readonly NameValue[]
}

const msOfUnit = new Map<Unit, number>([
  [Unit.SECOND, 1000],
  [Unit.MINUTE, 60_000],
  [Unit.HOUR, 3_600_000],
  [Unit.DAY, 86_400_000],
  [Unit.MONTH, 30 * 86_400_000],
  [Unit.YEAR, 365 * 86_400_000],
])
const unitOfMs = new Map([...msOfUnit].map(([unit, ms]) => [ms, unit]))
const askedUnit = new Map<number, RateLimitUnit>([
  [1000, RateLimitUnit.SECOND],
  [60_000, RateLimitUnit.MINUTE],
  [3_600_000, RateLimitUnit.HOUR],
  [86_400_000, RateLimitUnit.DAY],
])
const msAsked = new Map([...askedUnit].map(([ms, unit]) => [unit, ms]))

/** Whether a limit of this interval can be told. */
export const hasUnit = (intervalMs: number): boolean => askedUnit.has(intervalMs)

const headersOf = (list: readonly { readonly key: string; readonly value: string }[]): readonly NameValue[] =>
  list.map(({ key, value }) => ({ name: key.toLowerCase(), value }))

export const shouldRateLimit: Rpc<LimitQuestion, LimitReply> = {
  path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
  kind: 'unary',
  request: {
    encode: ({ domain, descriptors, hits }) =>
      toBinary(
        RateLimitRequestSchema,
        create(RateLimitRequestSchema, {
          domain,
          hitsAddend: hits,
          descriptors: descriptors.map(({ entries, limit }) => {
            const unit = limit && askedUnit.get(limit.intervalMs)
            return {
              entries: entries.map(({ key, value }) => ({ key, value })),
              ...(limit === undefined || unit === undefined ? {} : { limit: { requestsPerUnit: limit.requests, unit } }),
            }
          }),
        }),
      ),
    decode: bytes => {
      const { domain, descriptors, hitsAddend } = fromBinary(RateLimitRequestSchema, bytes)
      return {
        domain,
        hits: hitsAddend || 1,
        descriptors: descriptors.map(({ entries, limit }) => {
          const intervalMs = limit && msAsked.get(limit.unit)
          return { entries, ...(intervalMs === undefined ? {} : { limit: { requests: limit!.requestsPerUnit, intervalMs } }) }
        }),
      }
    },
  },
  reply: {
    encode: ({ isOver, statuses, responseHeaders, requestHeaders }) =>
      toBinary(
        RateLimitResponseSchema,
        create(RateLimitResponseSchema, {
          overallCode: isOver ? Code.OVER_LIMIT : Code.OK,
          statuses: statuses.map(({ isOver, limit, remaining, resetMs }) => {
            const unit = limit && unitOfMs.get(limit.intervalMs)
            return {
              code: isOver ? Code.OVER_LIMIT : Code.OK,
              limitRemaining: remaining,
              ...(limit === undefined || unit === undefined
                ? {}
                : { currentLimit: { name: limit.name, requestsPerUnit: limit.requests, unit } }),
              ...(resetMs === undefined
                ? {}
                : { durationUntilReset: { seconds: BigInt(Math.floor(resetMs / 1000)), nanos: Math.floor(resetMs % 1000) * 1_000_000 } }),
            }
          }),
          responseHeadersToAdd: responseHeaders.map(({ name, value }) => ({ key: name, value })),
          requestHeadersToAdd: requestHeaders.map(({ name, value }) => ({ key: name, value })),
        }),
      ),
    decode: bytes => {
      const { overallCode, statuses, responseHeadersToAdd, requestHeadersToAdd } = fromBinary(RateLimitResponseSchema, bytes)
      return {
        isOver: overallCode === Code.OVER_LIMIT,
        statuses: statuses.map(({ code, currentLimit, limitRemaining, durationUntilReset }) => {
          const intervalMs = currentLimit && msOfUnit.get(currentLimit.unit)
          return {
            isOver: code === Code.OVER_LIMIT,
            remaining: limitRemaining,
            ...(intervalMs === undefined
              ? {}
              : { limit: { name: currentLimit!.name, requests: currentLimit!.requestsPerUnit, intervalMs } }),
            ...(durationUntilReset === undefined
              ? {}
              : { resetMs: Number(durationUntilReset.seconds) * 1000 + durationUntilReset.nanos / 1_000_000 }),
          }
        }),
        responseHeaders: headersOf(responseHeadersToAdd),
        requestHeaders: headersOf(requestHeadersToAdd),
      }
    },
  },
}
