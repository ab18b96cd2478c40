/** HedgePolicy and RetryPolicy of a RouteAction → when a request is sent again, after another try or beside it. */

import type { JsonObject } from '@bufbuild/protobuf'
import type { Hedge, Retry } from '#model/retry'
import { HedgePolicySchema, type RouteAction } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { carries, refuse } from './carried.ts'
import { decodeRetry } from './retry.ts'

const checkHedge = carries(HedgePolicySchema, ['initial_requests', 'hedge_on_per_try_timeout'])

/** tryMs: 0 for no limit of a try. */
type Tries = { readonly tryMs: number; readonly retry?: Retry; readonly hedge?: Hedge }

/** labels: those of Weft on the route; without them, as others write it, whatever may be tried again is. */
export function decodeTries({ retryPolicy, hedgePolicy }: RouteAction, labels: JsonObject, where: string): Tries {
  const { tryMs, retry } = retryPolicy === undefined ? { tryMs: 0, retry: undefined } : decodeRetry(retryPolicy, `${where}.retry_policy`)
  const plain = { tryMs, ...(retry === undefined ? {} : { retry }) }
  if (hedgePolicy === undefined) return plain
  checkHedge(hedgePolicy, `${where}.hedge_policy`)
  if ((hedgePolicy.initialRequests ?? 1) !== 1) refuse(`${where}.hedge_policy.initial_requests`, 'only 1 is carried out')
  if (!hedgePolicy.hedgeOnPerTryTimeout) return plain
  if (tryMs === 0) refuse(`${where}.hedge_policy`, 'needs retry_policy.per_try_timeout: after how long is the second try sent?')
  const said = labels['hedge']
  if (typeof said !== 'object' || said === null || Array.isArray(said))
    return {
      tryMs: 0,
      ...(retry === undefined ? {} : { retry }),
      hedge: { afterMs: tryMs, attempts: retryPolicy?.numRetries ?? 1, allMethods: true },
    }
  const { attempts, allMethods, tryMs: one, retries } = said
  return {
    tryMs: typeof one === 'number' ? one : 0,
    ...(retry === undefined || typeof retries !== 'number' ? {} : { retry: { ...retry, attempts: retries } }),
    hedge: { afterMs: tryMs, attempts: typeof attempts === 'number' ? attempts : 1, ...(allMethods === true ? { allMethods } : {}) },
  }
}
