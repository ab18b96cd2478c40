/**
 * Routes that hand on what they match to other routes: a backendRef of kind HTTPRoute.
 *
 * The rules of the other stand at the place of the rule that names it, and match what both match: between themselves in their own order, and none of
 * them before or behind its neighbours. So who is given `/team` rules over that, and over nothing else, whatever it writes.
 */

import type { Filter } from '#model/filter'
import type { Layer } from '#model/mesh'
import type { Route } from '#model/route'
import type { HTTPRoute, ParentRef, ReferenceGrant } from '#resources/gateway-api'
import { gatewayGroup } from '#resources/gateway-api'
import { type Delegate, isDelegate } from './delegate.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { bothMatch } from './both-match.ts'
import type { Ranked } from './order.ts'
import type { Verdict } from './parents.ts'
import { isGranted } from '../grants.ts'
import type { RefReason } from './resolve.ts'
import { settleRoute } from '../policies/route.ts'
import type { LoweredRoute } from './rules.ts'

/** How many routes may stand behind each other below the first. */
const deepest = 4
/** How many matches the rules of one route may come to by that. */
const most = 2048

export type Delegation = {
  /** Of each route, with the rules of others in their places. */
  readonly lowered: ReadonlyMap<HTTPRoute, LoweredRoute>
  /** What the routes say that hand on to it. */
  readonly verdicts: ReadonlyMap<HTTPRoute, readonly Verdict[]>
  /** Which routes hand on to it. */
  readonly parents: ReadonlyMap<HTTPRoute, readonly HTTPRoute[]>
}

type Problem = { readonly reason: RefReason | undefined; readonly says: string }

export function delegate(lowered: ReadonlyMap<HTTPRoute, LoweredRoute>, grants: readonly ReferenceGrant[]): Delegation {
  const parents = new Map<HTTPRoute, HTTPRoute[]>()
  const verdicts = new Map<HTTPRoute, Verdict[]>()
  if (![...lowered.values()].some(({ delegates }) => delegates.length > 0)) return { lowered, verdicts: namedOnly(lowered), parents }
  const byName = new Map([...lowered.keys()].map(route => [nameOf(route), route]))
  const whyNot = judging(lowered, byName, grants)
  const expanded = new Map<HTTPRoute, LoweredRoute>()
  const unplaced = new Map<Delegate, Problem>()

  function expand(route: HTTPRoute): LoweredRoute {
    const known = expanded.get(route)
    if (known !== undefined) return known
    const own = lowered.get(route)!
    const refs = [...own.refs]
    const invalid = new Map(own.invalid)
    const places = new Map<Delegate, Placed | Problem>()
    for (const each of own.delegates) {
      const why = whyNot(route, each)
      const made = why ?? placed(own, expand(byName.get(each.to)!), each)
      places.set(each, made)
      if (!('says' in made)) continue
      unplaced.set(each, made)
      if (made.reason === undefined) invalid.set(each.index, [...(invalid.get(each.index) ?? []), { path: each.path, says: made.says }])
      else refs.push({ backend: undefined, path: each.path, reason: made.reason, says: made.says })
    }
    const routes = own.routes.map((ranked): Ranked => {
      const place = ranked.delegate && places.get(ranked.delegate)
      if (place === undefined) return ranked
      return 'says' in place ? refused(ranked, place, ranked.delegate!.path) : { ...ranked, within: place.within.get(ranked)! }
    })
    const says = new Map(own.own)
    for (const made of places.values()) if (!('says' in made)) for (const [name, layer] of made.own) says.set(name, layer)
    const byRule = new Map([...invalid].sort(([one], [other]) => one - other))
    const made: LoweredRoute = { routes, refs, invalid: byRule, own: says, delegates: own.delegates, authorizers: own.authorizers }
    expanded.set(route, made)
    return made
  }
  for (const route of lowered.keys()) expand(route)

  for (const [route, { delegates }] of lowered)
    for (const each of delegates) {
      const child = byName.get(each.to)
      if (child === undefined) continue
      const why = unplaced.get(each)
      if (why?.reason === 'RefNotPermitted') continue
      const before = parents.get(child) ?? []
      if (before.includes(route)) continue
      if (why === undefined) parents.set(child, [...before, route])
      verdicts.set(child, [...(verdicts.get(child) ?? []), verdictOf(child, route, why?.says)])
    }
  for (const [child, said] of namedOnly(lowered, verdicts)) verdicts.set(child, [...(verdicts.get(child) ?? []), ...said])
  return { lowered: expanded, verdicts, parents }
}

const refOf = (child: HTTPRoute, parent: HTTPRoute): ParentRef =>
  namedParents(child).find(ref => `${ref.namespace ?? namespaceOf(child)}/${ref.name}` === nameOf(parent)) ?? {
    group: gatewayGroup,
    kind: 'HTTPRoute',
    namespace: namespaceOf(parent),
    name: parent.metadata.name,
  }

const verdictOf = (child: HTTPRoute, parent: HTTPRoute, why: string | undefined): Verdict => ({
  parentRef: refOf(child, parent),
  ...(why === undefined ? {} : { reason: 'UnsupportedValue' }),
  says: why === undefined ? `Its rules stand in place of a rule of HTTPRoute ${nameOf(parent)}` : `HTTPRoute ${nameOf(parent)}: ${why}`,
})

const namedParents = ({ spec }: HTTPRoute): readonly ParentRef[] => (spec?.parentRefs ?? []).filter(isDelegate)

/** Parents that a route names and that do not hand on to it. */
function namedOnly(
  lowered: ReadonlyMap<HTTPRoute, LoweredRoute>,
  said: ReadonlyMap<HTTPRoute, readonly Verdict[]> = new Map(),
): ReadonlyMap<HTTPRoute, Verdict[]> {
  const found = new Map<HTTPRoute, Verdict[]>()
  for (const route of lowered.keys()) {
    const named = namedParents(route).filter(ref => !(said.get(route) ?? []).some(each => each.parentRef === ref))
    if (named.length > 0)
      found.set(
        route,
        named.map(parentRef => ({
          parentRef,
          reason: 'NoMatchingParent',
          says: `HTTPRoute ${parentRef.namespace ?? namespaceOf(route)}/${parentRef.name} has no rule that hands on to this route, or may not`,
        })),
      )
  }
  return found
}

/** Why a rule may not hand on. Of a circle every route in it is told; of a chain that is too long those that begin one. */
function judging(lowered: ReadonlyMap<HTTPRoute, LoweredRoute>, byName: ReadonlyMap<string, HTTPRoute>, grants: readonly ReferenceGrant[]) {
  const next = (route: HTTPRoute): readonly HTTPRoute[] => lowered.get(route)!.delegates.flatMap(each => byName.get(each.to) ?? [])
  const wayTo = (from: HTTPRoute, to: HTTPRoute, seen = new Set<HTTPRoute>()): readonly HTTPRoute[] | undefined => {
    if (from === to) return [from]
    if (seen.has(from)) return undefined
    seen.add(from)
    for (const each of next(from)) {
      const way = wayTo(each, to, seen)
      if (way !== undefined) return [from, ...way]
    }
    return undefined
  }
  const depths = new Map<HTTPRoute, number>()
  const depthOf = (route: HTTPRoute): number => {
    let depth = depths.get(route)
    if (depth === undefined) {
      depths.set(route, Number.POSITIVE_INFINITY) // of a circle
      depths.set(route, (depth = Math.max(0, ...next(route).map(each => 1 + depthOf(each)))))
    }
    return depth
  }
  return (route: HTTPRoute, { to }: Delegate): Problem | undefined => {
    const child = byName.get(to)
    if (child === undefined) return { reason: 'BackendNotFound', says: `HTTPRoute ${to} does not exist` }
    const [namespace, other] = [namespaceOf(route), namespaceOf(child)]
    if (
      namespace !== other &&
      !isGranted({ kind: 'HTTPRoute', namespace }, other, { group: gatewayGroup, kind: 'HTTPRoute', name: child.metadata.name }, grants)
    )
      return {
        reason: 'RefNotPermitted',
        says: `HTTPRoute ${to} is in another namespace, which has no ReferenceGrant from HTTPRoute in ${namespace} to HTTPRoute`,
      }
    const named = namedParents(child)
    if (named.length > 0 && !named.some(ref => `${ref.namespace ?? other}/${ref.name}` === nameOf(route)))
      return { reason: 'RefNotPermitted', says: `HTTPRoute ${to} names other routes as its parents: add this one to its parentRefs` }
    const circle = wayTo(child, route)
    if (circle !== undefined)
      return {
        reason: undefined,
        says: `goes round in a circle: ${[route, ...circle].map(nameOf).join(' → ')}; take one of these references out`,
      }
    const depth = 1 + depthOf(child)
    if (depth === Number.POSITIVE_INFINITY)
      return { reason: undefined, says: `HTTPRoute ${to} hands on in a circle: its own status names it` }
    if (depth > deepest)
      return {
        reason: undefined,
        says: `${depth} routes stand behind each other; at most ${deepest} are carried out: hand on to a later one of them`,
      }
    return undefined
  }
}

/** within: for each match of the rule. own: what they and the rule say together, as of LoweredRoute. */
type Placed = { readonly within: ReadonlyMap<Ranked, readonly Ranked[]>; readonly own: ReadonlyMap<string, Layer> }

/** The rules of the other, as far as both can match. */
function placed(own: LoweredRoute, child: LoweredRoute, delegated: Delegate): Placed | Problem {
  const { to } = delegated
  const found = new Map<Ranked, readonly Ranked[]>()
  const said = new Map<string, Layer>()
  let count = 0
  let unclear: string | undefined
  const joined = (parent: Route, inner: Ranked): readonly Ranked[] => {
    const { route, rank, within } = inner
    if (within !== undefined) {
      const all = within.flatMap(each => joined(parent, each))
      return all.length === 0 ? [] : [{ route, rank, within: all }]
    }
    const match = bothMatch(parent.match, route.match)
    if (match === undefined) return []
    if (typeof match === 'string') {
      unclear ??= `${route.origin} of HTTPRoute ${to}: ${match}`
      return []
    }
    count++
    const layer = together(child.own.get(route.name), own.own.get(parent.name))
    const made = { ...inherit(route, parent), match }
    if (layer === undefined) return [{ route: made, rank }]
    said.set(made.name, layer)
    return [{ route: settleRoute(made, [layer]), rank }]
  }
  for (const ranked of own.routes.filter(each => each.delegate === delegated))
    found.set(
      ranked,
      child.routes.flatMap(each => joined(ranked.route, each)),
    )
  if (unclear !== undefined) return { reason: undefined, says: unclear }
  if (count > most)
    return {
      reason: undefined,
      says: `comes to ${count} matches, of this rule and those of ${to} together; at most ${most} are carried out`,
    }
  return { within: found, own: said }
}

const together = (own: Layer | undefined, parent: Layer | undefined): Layer | undefined =>
  own === undefined ? parent : parent === undefined ? own : { ...own, says: { ...parent.says, ...own.says } }

/** What the rule says holds where the other says nothing: of filters each kind for itself. */
function inherit(route: Route, parent: Route): Route {
  const { action, filters } = route
  const named = { ...route, name: `${route.name}/via/${parent.name}`, origin: `${route.origin} via ${parent.origin}` }
  if (action.type === 'respond' && action.reason !== undefined) return named
  const isSent = action.type === 'forward'
  const more = parent.filters.filter(
    filter => (isSent || filter.type === 'response-headers') && !filters.some(own => own.type === filter.type),
  )
  const mirrors = route.mirrors ?? parent.mirrors
  const cors = route.cors ?? parent.cors
  // Each of them must let it on.
  const authorize = [...(parent.authorize ?? []), ...(route.authorize ?? [])]
  return {
    ...named,
    filters: inKinds([...filters, ...more]),
    ...(isSent && mirrors !== undefined ? { mirrors } : {}),
    ...(cors === undefined ? {} : { cors }),
    ...(authorize.length === 0 ? {} : { authorize }),
  }
}

const inKinds = (filters: readonly Filter[]): readonly Filter[] => filters.toSorted((one, other) => (one.type < other.type ? -1 : 1))

function refused({ route, rank }: Ranked, { reason, says }: Problem, path: string): Ranked {
  const { name, origin, match } = route
  const detail = `${path}: ${says}`
  return {
    rank,
    route: {
      name,
      origin,
      match,
      filters: [],
      action: { type: 'respond', status: 500, reason: reason === undefined ? 'rule-invalid' : 'backend-invalid', detail },
    },
  }
}
