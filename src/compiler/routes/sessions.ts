/** The sessionPersistence of a rule (GEP-1619) as the proxy keeps it: what names the endpoint in the answer and in later requests. */

import type { Session } from '#model/route'
import { durationMs } from '#resources/duration'
import type { HTTPRule } from '#resources/gateway-api'
import type { Unsupported } from './filters.ts'

export type LoweredSession = { readonly session?: Session; readonly unsupported: readonly Unsupported[] }

/** at: path of the rule. id: of the rule in the mesh, for the name of a cookie that is not named. */
export function lowerSession({ sessionPersistence: said }: Pick<HTTPRule, 'sessionPersistence'>, at: string, id: string): LoweredSession {
  if (said === undefined) return { unsupported: [] }
  const path = `${at}.sessionPersistence`
  const isPermanent = said.cookie?.lifetimeType === 'Permanent'
  if (said.absoluteTimeout !== undefined && !isPermanent)
    return {
      unsupported: [
        { path: `${path}.absoluteTimeout`, says: 'is carried out for Permanent cookies only: set cookie.lifetimeType, or take it away' },
      ],
    }
  if (said.header !== undefined) return { session: { type: 'header', name: said.header.name.toLowerCase() }, unsupported: [] }
  const { name = `weft-${id.replaceAll(/[^A-Za-z0-9]+/g, '-')}`, path: cookiePath = '/' } = said.cookie ?? {}
  const ttlMs = isPermanent ? durationMs(said.absoluteTimeout ?? '0s') : 0
  return { session: { type: 'cookie', name, path: cookiePath, ttlMs }, unsupported: [] }
}
