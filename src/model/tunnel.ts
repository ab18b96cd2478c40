/** What becomes of CONNECT: a tunnel, in which no rule, token or authorizer sees anything, so that it is let through only where somebody said so. Pure, the same in the proxy and in explanations. */

import type { Access, AccessCondition, AccessRule } from './access-rule.ts'
import { placeOf, strangersRule, tellVerdict, type Verdict } from './access.ts'
import type { Listener } from './listener.ts'
import { chooseRoute, failsAt, hostOf, type RequestFacts } from './match.ts'
import type { Route, RouteTable } from './route.ts'

/** Why a Gateway answers 405 `tunnel-refused`. */
export const noTunnelHere = 'no rule of a route of this Gateway names method: CONNECT, which makes a tunnel that passes by all its rules'

/** The route that a request takes at a listener; at a Gateway CONNECT takes one only whose match names that method. */
export const routeAt = (direction: Listener['direction'], table: RouteTable, request: RequestFacts): Route | undefined =>
  request.method === 'CONNECT' && direction === 'gateway'
    ? hostOf(table, request.host)?.routes.find(({ match }) => match.method === 'CONNECT' && failsAt(match, request) === undefined)
    : chooseRoute(table, request)

/**
 * The rules by which a request is judged that takes this route. Of CONNECT at a workload's port where anything is judged only Allow rules count that name its
 * method exactly, and without one it is denied.
 */
export function accessFor(listener: Listener, route: Route, method: string): Access | undefined {
  const { access } = route
  if (method !== 'CONNECT' || listener.direction !== 'inbound') return access
  const isGuarded =
    [listener.tokens, listener.authorizers, route.authorize].some(each => each !== undefined && each.length > 0) ||
    route.tokens !== undefined ||
    (access !== undefined && judgesRequests(access))
  if (access === undefined) return isGuarded ? closed : undefined
  const kept = isGuarded ? guarded : tried
  let narrow = kept.get(access)
  if (narrow === undefined) kept.set(access, (narrow = narrowed(access, isGuarded)))
  return narrow
}

/** Why a workload's port answers 403 `access-denied`. It tells nothing of its rules, only that something is judged there. */
export const noTunnel =
  'CONNECT makes a tunnel, which passes by the rules, tokens and authorizers of this port: only a rule of an Allow policy that names the method CONNECT lets it in'

/** Why, in the words of logs and explanations. method: of the request; undefined: of opaque bytes. */
export const tellJudged = (verdict: Verdict, method: string | undefined): string =>
  method === 'CONNECT' && !verdict.isAllowed && verdict.rule === undefined && verdict.badPath !== true ? noTunnel : tellVerdict(verdict)

const closed: Access = { deny: [], allow: [] }
const guarded = new WeakMap<Access, Access>()
const tried = new WeakMap<Access, Access>()

/** Beyond what holds for all that its caller does, in a tunnel too: an identity that was taken back, or of a strange trust domain. */
const judgesRequests = ({ deny, allow }: Pick<Access, 'deny' | 'allow'>): boolean =>
  allow !== undefined ||
  deny.some(rule => {
    const { policy } = placeOf(rule)
    return policy !== strangersRule && !policy.startsWith('Revocation/')
  })

const narrowed = ({ deny, allow, audit }: Access, isGuarded: boolean): Access => ({
  deny,
  ...(isGuarded ? { allow: naming(allow) } : {}),
  ...(audit === undefined ? {} : { audit: judgesRequests(audit) ? { deny: audit.deny, allow: naming(audit.allow) } : audit }),
})

const naming = (rules: readonly AccessRule[] = []): readonly AccessRule[] =>
  rules.flatMap(rule => {
    const to = rule.to.filter(all => all.some(namesConnect))
    return to.length === 0 ? [] : [{ ...rule, to }]
  })

const namesConnect = (condition: AccessCondition): boolean =>
  condition.on === 'method' && condition.not !== true && condition.any.some(({ type, value }) => type === 'exact' && value === 'CONNECT')
