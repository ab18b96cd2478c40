/** Who asks something of the operator API: as proved, and with which roles. */

import type { Grant } from '#api/rights'
import type { HttpRequest } from '#io/http-server'

export type How = 'token' | 'certificate' | 'oidc'

/** how: '' where nobody had to prove anything. until: ms since the epoch, from then on the proof holds no more. ended: aborted when it is taken away before. */
export type Principal = {
  readonly name: string
  readonly how: How | ''
  readonly groups: readonly string[]
  readonly grants: readonly Grant[]
  readonly until?: number
  readonly ended?: AbortSignal
}

/** A request whose sender is known. */
export type Asked = HttpRequest & { readonly by: Principal }

/** On a laptop: whoever reaches loopback. */
export const anybody: Principal = { name: 'anonymous', how: '', groups: [], grants: [{ role: 'admin' }] }

/** At a route that is for all: nobody was asked. */
export const nobody: Principal = { name: 'nobody', how: '', groups: [], grants: [] }
