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
  const { type, sessionName, cookieConfig, cookie, header, absoluteTimeout } = said
  const isPermanent = (cookie ?? cookieConfig)?.lifetimeType === 'Permanent'
  if (absoluteTimeout !== undefined && !isPermanent)
    return {
      unsupported: [
        { path: `${path}.absoluteTimeout`, says: 'is carried out for Permanent cookies only: set their lifetimeType, or take it away' },
      ],
    }
  const made = `weft-${id.replaceAll(/[^A-Za-z0-9]+/g, '-')}`
  if (type === 'Header') return { session: { type: 'header', name: (header?.name ?? sessionName ?? made).toLowerCase() }, unsupported: [] }
  const ttlMs = isPermanent ? durationMs(absoluteTimeout ?? '0s') : 0
  return { session: { type: 'cookie', name: cookie?.name ?? sessionName ?? made, path: cookie?.path ?? '/', ttlMs }, unsupported: [] }
}
