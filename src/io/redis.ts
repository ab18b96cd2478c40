/** A connection to Redis that runs scripts: it connects again by itself, and says at once that it is not there instead of waiting. */

import { createHash } from 'node:crypto'
import type { Log } from '#base/log'

export type RedisOptions = {
  /** `redis://[USER[:PASSWORD]@]HOST[:PORT][/NUMBER]`, or `rediss:` for TLS. */
  readonly url: string
  /** In place of one in the URL. */
  readonly password?: string
  /** How long an answer is waited for. */
  readonly timeoutMs: number
  readonly log: Log
}

/** text: Lua. */
export type RedisScript = { readonly text: string; readonly sha1: string }
export const redisScript = (text: string): RedisScript => ({ text, sha1: createHash('sha1').update(text).digest('hex') })

export type Redis = AsyncDisposable & {
  /** Rejects at once while there is no connection. keys: in KEYS of the script, args: in ARGV. */
  run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown>
}

const longestPauseMs = 2000
/** Beyond so many that wait for an answer, further ones fail at once. */
const mostWaiting = 10_000

/** Rejects where the URL is none; a server that is not there is connected to later. */
export async function openRedis({ url, password, timeoutMs, log }: RedisOptions): Promise<Redis> {
  // Loaded by those who use it only.
  const { createClient } = await import('@redis/client')
  const where = new URL(url)
  if (where.protocol !== 'redis:' && where.protocol !== 'rediss:') throw new Error(`${where.protocol} is not redis: or rediss:`)
  const client = createClient({
    url,
    ...(password === undefined ? {} : { password }),
    disableOfflineQueue: true,
    commandsQueueMaxLength: mostWaiting,
    socket: { connectTimeout: 2000, reconnectStrategy: (tries: number) => Math.min(longestPauseMs, 50 * 2 ** Math.min(tries, 6)) },
  })
  let isTold = false
  client.on('error', (error: Error & { readonly code?: string }) => {
    if (isTold) return
    isTold = true
    log.warn(`Redis at ${where.host} is not to be had; it is tried again until it is`, {
      reason: error.message || error.code || error.name,
    })
  })
  client.on('ready', () => {
    if (isTold) log.info(`Redis at ${where.host} is there again`)
    isTold = false
  })
  client.connect().catch(() => {}) // told by the event
  const send = async (words: readonly string[]): Promise<unknown> => {
    if (!client.isReady) throw new Error(`no connection to Redis at ${where.host}`)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`Redis at ${where.host} did not answer within ${timeoutMs} ms`)), timeoutMs)
    })
    try {
      return await Promise.race([client.sendCommand([...words]), late])
    } finally {
      clearTimeout(timer)
    }
  }
  return {
    async run({ text, sha1 }, keys, args) {
      const rest = [String(keys.length), ...keys, ...args]
      try {
        return await send(['EVALSHA', sha1, ...rest])
      } catch (thrown) {
        // A server that was started anew knows no scripts.
        if (!(thrown instanceof Error) || !thrown.message.startsWith('NOSCRIPT')) throw thrown
        return send(['EVAL', text, ...rest])
      }
    },
    async [Symbol.asyncDispose]() {
      client.destroy()
    },
  }
}
