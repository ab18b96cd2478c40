/** Cross-origin requests (Fetch standard, "CORS protocol"): preflights are answered here, and answers say whose pages may read them. */

import { wholly } from '#model/expression'
import type { NameValue } from '#model/filter'
import type { Cors } from '#model/route'
import { answerEmpty } from './answer.ts'
import type { Exchange } from './exchange.ts'

const none: readonly never[] = []

/**
 * Whether it was a preflight and is answered. Of any other request the answer is marked, whoever gives it. Credentials go with no wildcard
 * (Fetch, "CORS protocol and credentials"): what was asked for is then named in its place.
 */
export function answeredPreflight(exchange: Exchange, cors: Cors): boolean {
  const origin = exchange.header('origin')
  const isForAll = !cors.credentials && cors.origins.some(({ value }) => value === '*')
  // A cache must not give one origin what was said to another.
  const vary = isForAll ? none : [{ name: 'vary', value: 'Origin' }]
  const isAllowed = origin !== undefined && allows(cors, origin)
  const method = origin !== undefined && exchange.method === 'OPTIONS' ? exchange.header('access-control-request-method') : undefined
  const permission: readonly NameValue[] = isAllowed
    ? [
        { name: 'access-control-allow-origin', value: isForAll ? '*' : origin },
        ...(cors.credentials ? [{ name: 'access-control-allow-credentials', value: 'true' }] : none),
      ]
    : none
  // A preflight does not need it (Fetch); Gateway API's conformance has it, as Envoy says it.
  const exposed = isAllowed && cors.expose.length > 0 ? [{ name: 'access-control-expose-headers', value: cors.expose.join(', ') }] : none
  if (method === undefined) {
    exchange.changeAnswer({ set: [...permission, ...exposed], add: vary, remove: none })
    return false
  }
  if (!isAllowed && cors.forwardsOthers === true) return false
  const headers = exchange.header('access-control-request-headers')
  const granted: readonly NameValue[] = isAllowed
    ? [
        ...named('access-control-allow-methods', cors.methods, cors.credentials, method),
        ...named('access-control-allow-headers', cors.headers, cors.credentials, headers),
        { name: 'access-control-max-age', value: String(cors.maxAgeS) },
      ]
    : none
  answerEmpty(
    exchange,
    200,
    [...permission, ...granted, ...exposed, ...vary].flatMap(({ name, value }) => [name, value]),
  )
  return true
}

function named(name: string, list: readonly string[], hasCredentials: boolean, asked: string | undefined): readonly NameValue[] {
  if (list.length === 0) return none
  if (list[0] !== '*' || !hasCredentials) return [{ name, value: list.join(', ') }]
  return asked === undefined ? none : [{ name, value: asked }]
}

function allows({ origins }: Cors, origin: string): boolean {
  return origins.some(({ type, value }) => (type === 'exact' ? value === '*' || value === origin : patternOf(value)(origin)))
}

const patterns = new Map<string, (origin: string) => boolean>()

/** Kept, since the set is that of the configuration. */
function patternOf(text: string): (origin: string) => boolean {
  let pattern = patterns.get(text)
  if (pattern === undefined) {
    if (patterns.size > 10_000) patterns.clear()
    patterns.set(text, (pattern = wholly(text)))
  }
  return pattern
}
