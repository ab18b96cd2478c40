/** How many requests are taken in: token buckets, one for a limit or one for each of its keys, and what callers are told of them. */

import { Failure } from '#base/failure'
import type { NameValue, RateLimit } from '#model/view'
import type { Exchange } from './exchange.ts'

/** Beyond so many keys of one limit, those that are not known yet share one bucket: new names must not buy more requests. */
const maxKeys = 10_000
/** How many of the oldest keys are looked at when there is no room for another. */
const lookedAt = 32

/** at: performance.now() of when `tokens` was right. */
type Bucket = { tokens: number; at: number }
type Buckets = { readonly one: Bucket; readonly by: Map<string, Bucket> }

export type Taken = { readonly isTaken: boolean; readonly remaining: number; readonly nextMs: number; readonly fullMs: number }

/** The buckets of one proxy. They outlive a change of the configuration, for they go by the name of the limit. */
export class Limiter {
  readonly #buckets = new Map<string, Buckets>()

  /** Throws `rate-limited` where there is no token left. Every answer tells how many are. now: performance.now(). */
  admit(exchange: Exchange, limit: RateLimit, now: number): void {
    const taken = this.take(limit, keyOf(exchange, limit), now)
    const after: readonly NameValue[] = taken.isTaken ? [] : [{ name: 'retry-after', value: seconds(taken.nextMs) }]
    exchange.changeAnswer({ set: [...after, ...fieldsOf(limit, taken)], add: [], remove: [] })
    if (taken.isTaken) return
    throw new Failure(
      'rate-limited',
      `${limit.name}: ${limit.requests} in ${limit.intervalMs} ms${limit.by === undefined ? '' : ` for each ${limit.by.type}`}`,
    )
  }

  take(limit: RateLimit, key: string | undefined, now: number): Taken {
    const bucket = this.#bucketOf(limit, key, now)
    const perMs = limit.requests / limit.intervalMs
    bucket.tokens = Math.min(limit.burst, bucket.tokens + Math.max(0, now - bucket.at) * perMs)
    bucket.at = now
    const isTaken = bucket.tokens >= 1
    if (isTaken) bucket.tokens--
    return {
      isTaken,
      remaining: Math.floor(bucket.tokens),
      nextMs: Math.max(0, (1 - bucket.tokens) / perMs),
      fullMs: (limit.burst - bucket.tokens) / perMs,
    }
  }

  #bucketOf(limit: RateLimit, key: string | undefined, now: number): Bucket {
    let known = this.#buckets.get(limit.name)
    if (known === undefined) this.#buckets.set(limit.name, (known = { one: full(limit, now), by: new Map() }))
    if (key === undefined) return known.one
    let bucket = known.by.get(key)
    if (bucket !== undefined) return bucket
    if (known.by.size >= maxKeys && !makeRoom(known.by, limit, now)) return known.one
    known.by.set(key, (bucket = full(limit, now)))
    return bucket
  }
}

const full = ({ burst }: RateLimit, now: number): Bucket => ({ tokens: burst, at: now })

/** A bucket that is full again says nothing. Those that were looked at go to the end, so that all have their turn. */
function makeRoom(by: Map<string, Bucket>, { requests, intervalMs, burst }: RateLimit, now: number): boolean {
  let looked = 0
  for (const [key, bucket] of by) {
    if (++looked > lookedAt) break
    by.delete(key)
    if (bucket.tokens + ((now - bucket.at) * requests) / intervalMs < burst) by.set(key, bucket)
  }
  return by.size < maxKeys
}

/** Who has a bucket of its own; those without an identity or the header are one. */
function keyOf(exchange: Exchange, { by }: RateLimit): string | undefined {
  if (by === undefined) return undefined
  const key = by.type === 'identity' ? exchange.entry.peer : exchange.header(by.name)
  return key === undefined ? '' : key.slice(0, 256)
}

/** draft-ietf-httpapi-ratelimit-headers-10: quota `q` in a window of `w` seconds; of it `r` remain, for `t` seconds. */
function fieldsOf(limit: RateLimit, { remaining, nextMs, fullMs }: Taken): readonly NameValue[] {
  let policy = policies.get(limit)
  if (policy === undefined) policies.set(limit, (policy = `"${limit.name}";q=${limit.requests};w=${seconds(limit.intervalMs)}`))
  return [
    { name: 'ratelimit-policy', value: policy },
    { name: 'ratelimit', value: `"${limit.name}";r=${remaining};t=${seconds(remaining === 0 ? nextMs : fullMs)}` },
  ]
}

const policies = new WeakMap<RateLimit, string>()

const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)))
