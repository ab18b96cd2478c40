/** How many requests and connections are taken in: token buckets, one for a limit or one for each combination of its keys, and what callers are told of them. */

import { Failure } from '#base/failure'
import { Buckets, type Taken } from '#base/token-bucket'
import type { NameValue } from '#model/filter'
import {
  bucketName,
  type ConnectionLimit,
  limitField,
  noValue,
  policyField,
  type Rate,
  rateFor,
  type RateLimit,
  seconds,
} from '#model/rate-limit'
import type { Exchange } from './exchange.ts'
import { valueAt } from './limit-keys.ts'
import type { LimitOutcome, LimitScope } from '../telemetry/meter.ts'

/** Beyond so many keys of one limit, those that are not known yet share one bucket: new names must not buy more requests. */
const maxKeys = 10_000

const noValues: readonly string[] = []

type Count = (policy: string, scope: LimitScope, outcome: LimitOutcome) => void

/** The buckets of one proxy. They outlive a change of the configuration, for they go by the name of the limit. */
export class Limiter {
  readonly #requests = new Map<string, Buckets>()
  readonly #connections = new Map<string, Buckets>()
  readonly #count: Count

  constructor(count: Count = () => {}) {
    this.#count = count
  }

  /** Throws `rate-limited` where there is no token left. Every answer tells how many are. now: performance.now(). */
  admit(exchange: Exchange, limit: RateLimit, now: number): void {
    const values = limit.by === undefined ? noValues : limit.by.map(key => valueAt(exchange, key) ?? noValue)
    const rate = values.length === 0 ? limit : rateFor(limit, values)
    const taken = this.take(limit.name, rate, values, now)
    const after: readonly NameValue[] = taken.isTaken ? [] : [{ name: 'retry-after', value: seconds(taken.nextMs) }]
    exchange.changeAnswer({ set: [...after, ...fieldsOf(limit.name, rate, taken)], add: [], remove: [] })
    this.#count(limit.name, 'local', taken.isTaken ? 'allowed' : 'limited')
    if (!taken.isTaken) throw new Failure('rate-limited', saying(limit, rate))
  }

  take(name: string, rate: Rate, values: readonly string[], now: number): Taken {
    let buckets = this.#requests.get(name)
    if (buckets === undefined) this.#requests.set(name, (buckets = new Buckets(maxKeys)))
    return buckets.take(values.length === 0 ? '' : bucketName(values), rate, now)
  }

  /** Throws `rate-limited`. listener: each port of the workload has a bucket of its own. now: performance.now(). */
  admitConnection(limit: ConnectionLimit, listener: string, now: number): void {
    let buckets = this.#connections.get(limit.name)
    if (buckets === undefined) this.#connections.set(limit.name, (buckets = new Buckets(maxKeys)))
    const { isTaken } = buckets.take(listener, limit, now)
    this.#count(limit.name, 'connections', isTaken ? 'allowed' : 'limited')
    if (!isTaken) throw new Failure('rate-limited', `${limit.name}: ${limit.requests} connections in ${limit.intervalMs} ms`)
  }
}

const saying = ({ name, by }: RateLimit, { requests, intervalMs }: Rate): string =>
  `${name}: ${requests} in ${intervalMs} ms${by === undefined ? '' : ` for each ${by.map(key => ('name' in key ? `${key.type} ${key.name}` : key.type)).join(' and ')}`}`

/** draft-ietf-httpapi-ratelimit-headers-10: quota `q` in a window of `w` seconds; of it `r` remain, for `t` seconds. */
function fieldsOf(name: string, rate: Rate, { remaining, nextMs, fullMs }: Taken): readonly NameValue[] {
  let policy = policies.get(rate)
  if (policy === undefined) policies.set(rate, (policy = policyField(name, rate)))
  return [
    { name: 'ratelimit-policy', value: policy },
    { name: 'ratelimit', value: limitField(name, remaining, remaining === 0 ? nextMs : fullMs) },
  ]
}

const policies = new WeakMap<Rate, string>()
