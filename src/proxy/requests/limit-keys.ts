/** What limits tell requests apart by. */

import type { LimitKey } from '#model/rate-limit'
import type { Exchange } from './exchange.ts'

/** What a caller may make a bucket of: what is longer is one with all that begin alike. */
const longest = 256

/** Undefined where the request has none. */
export function valueAt(exchange: Exchange, key: LimitKey): string | undefined {
  const value = found(exchange, key)
  return value === undefined || value === '' ? undefined : value.slice(0, longest)
}

function found(exchange: Exchange, key: LimitKey): string | undefined {
  switch (key.type) {
    case 'identity':
      return exchange.entry.peer
    case 'header':
      return exchange.header(key.name)
    case 'path':
      return exchange.judgedPath ?? exchange.path
    case 'method':
      return exchange.method
    case 'host':
      return exchange.host
    case 'query':
      return exchange.search === '' ? undefined : (new URLSearchParams(exchange.search).get(key.name) ?? undefined)
    case 'address':
      return exchange.entry.ends?.()?.source.host
  }
}
