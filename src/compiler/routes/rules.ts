/** The rules of one HTTPRoute or GRPCRoute as routes of the model: not yet in order, and not yet attached to anything. */

import type { Authorizer } from '#model/authorizer'
import type { Layer } from '#model/mesh'
import type { Action, Route, Session, WeightedBackend } from '#model/route'
import type { GRPCRoute, HTTPRoute, HTTPRule, ReferenceGrant } from '#resources/gateway-api'
import { lowerExternalAuth } from '../access/authorize.ts'
import { type Delegate, isDelegate, unfit } from './delegate.ts'
import type { Unsupported } from './filters.ts'
import { lowerFilters } from './filters.ts'
import { nameOf } from '../gather.ts'
import type { LoweredMatch } from './matches.ts'
import { lowerCall, lowerRequest } from './matches.ts'
import { lowerMirrors } from './mirrors.ts'
import type { Ranked } from './order.ts'
import type { Resolved } from './resolve.ts'
import { fromOf, resolve } from './resolve.ts'
import { ownLayer, settleRoute } from '../policies/route.ts'
import type { RouteFilters } from './extras.ts'
import { lowerSession } from './sessions.ts'
import type { Services } from '../services/services.ts'

/** refs: backendRefs that lead nowhere, with their field paths. invalid: by index of the rule, what it asks that is not carried out. */
export type LoweredRoute = {
  readonly routes: readonly Ranked[]
  readonly refs: readonly (Exclude<Resolved, { backend: string }> & { readonly path: string })[]
  readonly invalid: ReadonlyMap<number, readonly Unsupported[]>
  /** What rules say of timeouts and the like, by name of the route; only where they say something. */
  readonly own: ReadonlyMap<string, Layer>
  /** Other routes that rules hand on to; the routes of such a rule name it and forward nowhere. */
  readonly delegates: readonly Delegate[]
  /** Services that rules ask by a filter, by the names that their routes have for them. */
  readonly authorizers: readonly Authorizer[]
}

export function lowerRules(
  route: HTTPRoute | GRPCRoute,
  services: Services,
  grants: readonly ReferenceGrant[],
  filters: RouteFilters,
): LoweredRoute {
  const { kind } = route
  const from = fromOf(route)
  const extensions = filters.of(from.namespace)
  const refs: LoweredRoute['refs'][number][] = []
  const invalid = new Map<number, readonly Unsupported[]>()
  const delegates: Delegate[] = []
  const own = new Map<string, Layer>()
  const authorizers: Authorizer[] = []
  const routes = rulesOf(route).flatMap(({ rule, matches }, index) => {
    const at = `spec.rules[${index}]`
    const lowered = lowerFilters(rule.filters ?? [], `${at}.filters`, extensions)
    const unsupported: Unsupported[] = [...lowered.unsupported]
    const missing = [...lowered.refs]
    const auth = lowered.externalAuth
    const authorizer = auth && lowerExternalAuth(`${kind}/${nameOf(route)}/${index}`, auth.filter, from, services, grants)
    if (authorizer !== undefined && 'reason' in authorizer) missing.push({ path: `${auth!.path}.backendRef`, ...authorizer })
    else if (authorizer !== undefined) authorizers.push(authorizer)
    const copied = lowerMirrors(rule.filters ?? [], `${at}.filters`, from, services, grants)
    refs.push(...copied.refs)
    const kept = lowerSession(rule, at, `${nameOf(route)}-${index}`)
    unsupported.push(...kept.unsupported)
    const handedOn = kind === 'HTTPRoute' ? (rule.backendRefs ?? []).findIndex(ref => isDelegate(ref) && ref.weight > 0) : -1
    if (handedOn >= 0) unsupported.push(...unfit(rule, lowered.filters, at))
    const backends = (handedOn >= 0 ? [] : (rule.backendRefs ?? [])).map((ref, refAt): WeightedBackend => {
      const path = `${at}.backendRefs[${refAt}]`
      const found = resolve(ref, from, services, grants)
      if (found.backend === undefined) refs.push({ ...found, path })
      const own = lowerFilters(ref.filters ?? [], `${path}.filters`, extensions, true)
      unsupported.push(...own.unsupported)
      missing.push(...own.refs)
      return { backend: found.backend, weight: ref.weight, ...(own.filters.length > 0 ? { filters: own.filters } : {}) }
    })
    unsupported.push(...matches.flatMap(match => match.unsupported))
    if (lowered.respond !== undefined && (rule.backendRefs ?? []).length > 0)
      unsupported.push({
        path: `${at}.backendRefs`,
        says: 'get nothing, for a RouteFilter of the rule answers itself (directResponse): remove them or the filter',
      })
    else if (handedOn < 0 && isWeightless(rule.backendRefs ?? [])) unsupported.push(weightless(at))
    if (unsupported.length > 0) invalid.set(index, unsupported)
    refs.push(...missing)
    // A filter that is not there must not be skipped (Gateway API HTTPRouteFilter.extensionRef).
    const broken = [...unsupported, ...missing]
    const action: Action =
      broken.length > 0
        ? { type: 'respond', status: 500, reason: 'rule-invalid', detail: broken.map(each => `${each.path}: ${each.says}`).join('; ') }
        : lowered.respond !== undefined
          ? lowered.respond
          : lowered.redirect !== undefined
            ? { type: 'redirect', redirect: lowered.redirect }
            : handedOn >= 0
              ? { type: 'forward', backends: [] }
              : withSession(forward(backends, at), kept.session)
    const itself = ownLayer(`${kind} ${nameOf(route)} rule ${index}`, rule)
    const delegate =
      handedOn < 0 || broken.length > 0
        ? undefined
        : delegateOf(rule.backendRefs![handedOn]!, from.namespace, `${at}.backendRefs[${handedOn}]`, index)
    if (delegate !== undefined) delegates.push(delegate)
    return matches.flatMap(({ match, rank }, matchAt): readonly Ranked[] => {
      if (match === undefined) return []
      const made: Route = {
        name: `${kind}/${nameOf(route)}/${index}${matches.length > 1 ? `.${matchAt}` : ''}`,
        origin: `${kind} ${nameOf(route)} rule ${index}`,
        match,
        filters: broken.length > 0 ? [] : lowered.filters,
        action,
        ...(action.type === 'forward' && copied.mirrors.length > 0 ? { mirrors: copied.mirrors } : {}),
        ...(broken.length > 0 || lowered.cors === undefined ? {} : { cors: lowered.cors }),
        ...(broken.length > 0 || authorizer === undefined || 'reason' in authorizer ? {} : { authorize: [authorizer.name] }),
      }
      const more = delegate === undefined ? {} : { delegate }
      if (Object.keys(itself.says).length === 0) return [{ route: made, rank, ...more }]
      own.set(made.name, itself)
      return [{ route: settleRoute(made, [itself]), rank, ...more }]
    })
  })
  return { routes, refs, invalid, own, delegates, authorizers }
}

const delegateOf = (
  ref: { readonly name: string; readonly namespace?: string | undefined },
  namespace: string,
  path: string,
  index: number,
): Delegate => ({ to: `${ref.namespace ?? namespace}/${ref.name}`, path, index })

/** What both kinds say alike, and what they match. A rule without matches applies to all that is of its kind. */
function rulesOf(route: HTTPRoute | GRPCRoute): readonly { readonly rule: Rule; readonly matches: readonly LoweredMatch[] }[] {
  const at = (index: number, matchAt: number): string => `spec.rules[${index}].matches[${matchAt}]`
  return isCalls(route)
    ? (route.spec?.rules ?? []).map((rule, index) => ({
        rule,
        matches: orAll(rule.matches ?? [], {}).map((match, matchAt) => lowerCall(match, at(index, matchAt))),
      }))
    : (route.spec?.rules ?? []).map((rule, index) => ({
        rule,
        matches: orAll(rule.matches, { path: { type: 'PathPrefix', value: '/' } }).map((match, matchAt) =>
          lowerRequest(match, at(index, matchAt)),
        ),
      }))
}

type Rule = Omit<HTTPRule, 'matches'>
const isCalls = (route: HTTPRoute | GRPCRoute): route is GRPCRoute => route.kind === 'GRPCRoute'
const orAll = <M>(matches: readonly M[], all: M): readonly M[] => (matches.length > 0 ? matches : [all])

/** Gateway API BackendRef.weight: traffic is shared in proportion to the sum, and of nothing there is no share. */
export const isWeightless = (refs: readonly { readonly weight: number }[]): boolean =>
  refs.length > 0 && refs.every(({ weight }) => weight === 0)
export const weightless = (at: string): Unsupported => ({
  path: `${at}.backendRefs`,
  says: 'no weight is above 0, so none of them gets anything: give at least one of them a weight of 1 or more',
})

const withSession = (action: Action, session: Session | undefined): Action =>
  session === undefined || action.type !== 'forward' ? action : { ...action, session }

/** Nothing to go to is answered 500, and to a gRPC call UNAVAILABLE (Gateway API HTTPRouteRule.backendRefs, GRPCRouteRule.backendRefs). */
function forward(backends: readonly WeightedBackend[], at: string): Action {
  const no = (detail: string): Action => ({ type: 'respond', status: 500, reason: 'backend-invalid', detail })
  if (backends.length === 0) return no(`${at} has no backendRefs`)
  return { type: 'forward', backends }
}
