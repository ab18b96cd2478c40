/** Where the buckets of global limits are: in memory of this control plane, or in Redis, where several share them. */

import { Buckets, type Rate, type Taken } from '#base/token-bucket'
import { type Redis, redisScript } from '#io/redis'

export type Counters = {
  /** Rejects where nobody knows. limit: whose bucket; name: which of its. */
  take(limit: string, name: string, rate: Rate, count: number): Taken | Promise<Taken>
  /** Of all other limits nothing is kept. */
  keep(limits: ReadonlySet<string>): void
}

/** Beyond so many of one limit, new ones share a bucket. */
const maxBuckets = 100_000

/** now: milliseconds of a clock that does not go back. */
export function countersInMemory(now: () => number): Counters {
  const found = new Map<string, Buckets>()
  return {
    take(limit, name, rate, count) {
      let buckets = found.get(limit)
      if (buckets === undefined) found.set(limit, (buckets = new Buckets(maxBuckets)))
      return buckets.take(name, rate, now(), count)
    },
    keep(limits) {
      for (const limit of found.keys()) if (!limits.has(limit)) found.delete(limit)
    },
  }
}

/**
 * The same bucket, by the clock of Redis, in one step that nothing comes between. KEYS: the bucket. ARGV: burst, tokens for each millisecond, how many to take.
 * A bucket that is full again says nothing, and goes.
 */
const takeTokens = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local burst, rate, count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
local taken = 0
if tokens >= count then
  tokens = tokens - count
  taken = 1
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / rate) + 1000)
return { taken, string.format('%.9f', tokens) }
`)

/** prefix: in front of the keys, so that meshes can share a Redis. */
export function countersInRedis(redis: Redis, prefix: string): Counters {
  return {
    async take(limit, name, { requests, intervalMs, burst }, count) {
      const perMs = requests / intervalMs
      const reply = await redis.run(takeTokens, [`${prefix}${limit}\0${name}`], [String(burst), String(perMs), String(count)])
      const [taken, left] = reply as readonly [number, string]
      const tokens = Number(left)
      const isTaken = Number(taken) === 1
      return {
        isTaken,
        remaining: Math.floor(tokens),
        nextMs: Math.max(0, ((isTaken ? 1 : Math.max(1, count)) - tokens) / perMs),
        fullMs: (burst - tokens) / perMs,
      }
    },
    keep() {}, // they go by themselves
  }
}
