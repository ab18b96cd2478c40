/** A second try beside the first → HedgePolicy and the RetryPolicy that goes with it. Envoy has one time and one number for both: what differs is said in a label. */

import { create, type JsonObject } from '@bufbuild/protobuf'
import type { Route } from '#model/route'
import { HedgePolicySchema, type RetryPolicy, RetryPolicySchema } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { alwaysOn, elsewhere, encodeRetry } from './retry.ts'
import { duration } from './source.ts'

type Tried = Pick<Route, 'retry' | 'hedge' | 'timeouts'>

/** Of a RouteAction. */
export function encodeTries({ retry, hedge, timeouts }: Tried) {
  const retryPolicy = encodeRetry(retry, timeouts?.tryMs ?? 0)
  if (hedge === undefined) return retryPolicy === undefined ? {} : { retryPolicy }
  const hedged: RetryPolicy = retry === undefined ? create(RetryPolicySchema, elsewhere()) : retryPolicy!
  hedged.perTryTimeout = duration(hedge.afterMs)
  // Without any condition Envoy would not try again at all.
  hedged.retryOn ||= alwaysOn.join()
  hedged.numRetries = Math.max(hedge.attempts, retry?.attempts ?? 0)
  return { retryPolicy: hedged, hedgePolicy: create(HedgePolicySchema, { hedgeOnPerTryTimeout: true }) }
}

export const hedgeLabel = ({ retry, hedge, timeouts }: Tried): JsonObject =>
  hedge === undefined
    ? {}
    : {
        hedge: {
          attempts: hedge.attempts,
          ...(hedge.allMethods === true ? { allMethods: true } : {}),
          ...(timeouts?.tryMs === undefined ? {} : { tryMs: timeouts.tryMs }),
          ...(retry === undefined ? {} : { retries: retry.attempts }),
        },
      }
