/** Whether Envoy has a means for what a route or a listener says; the encoder says the rest by extensions of our own, which Envoy refuses. */

import { type Compression, usualCompressible } from '../compression.ts'
import type { Fault } from '../fault.ts'
import type { HostFrom, PathChange } from '../filter.ts'
import type { Quota, RateLimit } from '../rate-limit.ts'
import type { Sizes, WeightedBackend } from '../route.ts'

/** Envoy counts in 32 bits. */
const mostBytes = 2 ** 32 - 1

/** Delays are as long as they say, aborts are answers, and of a line it knows the way back, in whole kilobytes. */
export const canBreak = ({ delay, abort, bandwidth }: Fault): boolean =>
  delay?.jitterMs === undefined && abort?.type !== 'reset' && (bandwidth === undefined || isKilobytes(bandwidth))
export const isKilobytes = (line: Fault['bandwidth']): boolean =>
  line !== undefined && line.requestsBps === undefined && line.answersBps !== undefined && line.answersBps % 1024 === 0

/** It has one bucket for each route: neither one for each caller, nor one for several routes. */
export const canLimit = ({ by }: RateLimit, isShared: boolean): boolean => by === undefined && !isShared

/** Of a query it has no value to give, and no route of it tells a service what the limit is. */
export const canCount = ({ descriptors, rate }: Quota): boolean =>
  rate === undefined &&
  descriptors.every(entries =>
    entries.every(
      entry =>
        entry.type === 'constant' ||
        (entry.type !== 'query' && (entry.type !== 'address' || entry.key === 'remote_address') && !/'/.test(entry.absent ?? '')),
    ),
  )

/** Of HTTP/2 it does not count a body that ends in its first frame, which has 16 KiB at most. */
const oneFrame = 16_384

export const canMeasure = ({ bodyBytes, headerCount, headerBytes }: Sizes): boolean =>
  headerCount === undefined && headerBytes === undefined && (bodyBytes === undefined || (bodyBytes >= oneFrame && isCountable(bodyBytes)))
export const isCountable = (bodyBytes: number): boolean => bodyBytes <= mostBytes

/** Answers, of the usual types and sizes. */
export const canCompress = ({ answers, requests, takesCoded }: Compression): boolean =>
  isUsual(answers) && requests === undefined && takesCoded === undefined
export const isUsual = (answers: Compression['answers']): answers is NonNullable<typeof answers> =>
  answers !== undefined && answers.minBytes === usualCompressible.minBytes && answers.types.join() === usualCompressible.types.join()

/** Of one share of several it rewrites the host, to a text, and no path. */
export function canRewrite({ filters = [] }: WeightedBackend): boolean {
  const rewrite = filters.find(filter => filter.type === 'rewrite')
  return Object.keys(beyondShares(rewrite ?? {})).length === 0
}
export const beyondShares = ({
  path,
  host,
}: {
  readonly path?: PathChange
  readonly host?: string | HostFrom
}): {
  readonly path?: PathChange
  readonly host?: HostFrom
} => ({ ...(path === undefined ? {} : { path }), ...(typeof host === 'object' ? { host } : {}) })
