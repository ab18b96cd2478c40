/** About which requests an authorization service is asked, and what it may not touch. The same in the proxy that asks and in explanations. */

import { CallerAccess } from './access.ts'
import type { Authorizer } from './authorizer.ts'
import type { RequestFacts } from './match.ts'

/**
 * The headers by which messages are framed, hops are ruled and callers are known, of a whole name in lower case. In RE2 syntax, and short: Envoy takes no
 * program of more than a hundred instructions.
 */
export const untouchable =
  'con(?:nection|tent-length)|t(?:e|ra(?:iler|nsfer-encoding))|upgrade|expect|keep-.*|proxy-.*|x-(?:weft-|forwarded-c).*'

const pattern = new RegExp(`^(?:${untouchable})$`)

/** name: in lower case. */
export const isUntouchable = (name: string): boolean => name.startsWith(':') || name === 'host' || pattern.test(name)

const compiled = new WeakMap<Authorizer, CallerAccess>()

/** Its rules count as denials do: a path of two meanings is asked about in either, and one without any too. */
export function isAskedAbout(authorizer: Authorizer, request: RequestFacts): boolean {
  if (authorizer.when === undefined) return true
  let when = compiled.get(authorizer)
  if (when === undefined) {
    // No rule of these is about who calls, or about times.
    when = new CallerAccess({ deny: authorizer.when }, { identity: undefined, address: undefined }, 0)
    compiled.set(authorizer, when)
  }
  return !when.judge(request).isAllowed
}
