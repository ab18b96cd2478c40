/** The rules of one HTTPRoute as routes of the model: not yet in order, and not yet attached to anything. */

import type { Action, Match, PathMatch, Route, ValueMatch, WeightedBackend } from '#model/view'
import { durationMs } from '#resources/duration'
import type { HTTPMatch, HTTPRoute, HTTPRule, ReferenceGrant } from '#resources/gateway-api'
import type { Unsupported } from './filters.ts'
import { lowerFilters } from './filters.ts'
import { nameOf, namespaceOf } from './gather.ts'
import { whyNotRegex } from './regex.ts'
import type { Resolved } from './resolve.ts'
import { resolve } from './resolve.ts'
import type { Services } from './services.ts'

/** refs: backendRefs that lead nowhere, with their field paths. invalid: by index of the rule, what it asks that is not carried out. */
export type LoweredRoute = {
  readonly routes: readonly Route[]
  readonly refs: readonly (Exclude<Resolved, { backend: string }> & { readonly path: string })[]
  readonly invalid: ReadonlyMap<number, readonly Unsupported[]>
}

export function lowerRules(route: HTTPRoute, services: Services, grants: readonly ReferenceGrant[]): LoweredRoute {
  const refs: LoweredRoute['refs'][number][] = []
  const invalid = new Map<number, readonly Unsupported[]>()
  const routes = (route.spec?.rules ?? []).flatMap((rule, index) => {
    const at = `spec.rules[${index}]`
    const lowered = lowerFilters(rule.filters ?? [], `${at}.filters`)
    const unsupported: Unsupported[] = [...lowered.unsupported]
    if (rule.retry) unsupported.push({ path: `${at}.retry`, says: 'retry is not carried out yet' })
    if (rule.sessionPersistence) unsupported.push({ path: `${at}.sessionPersistence`, says: 'sessionPersistence is not carried out yet' })
    const backends = (rule.backendRefs ?? []).map((ref, refAt): WeightedBackend => {
      const path = `${at}.backendRefs[${refAt}]`
      const found = resolve(ref, { kind: 'HTTPRoute', namespace: namespaceOf(route) }, services, grants)
      if (found.backend === undefined) refs.push({ ...found, path })
      const own = lowerFilters(ref.filters ?? [], `${path}.filters`, true)
      unsupported.push(...own.unsupported)
      return { backend: found.backend, weight: ref.weight, ...(own.filters.length > 0 ? { filters: own.filters } : {}) }
    })
    const matches = (rule.matches.length > 0 ? rule.matches : [{ path: { type: 'PathPrefix' as const, value: '/' } }]).map(
      (match, matchAt) => lowerMatch(match, `${at}.matches[${matchAt}]`),
    )
    unsupported.push(...matches.flatMap(match => match.unsupported))
    if (unsupported.length > 0) invalid.set(index, unsupported)
    const action: Action =
      unsupported.length > 0
        ? { type: 'respond', status: 500, reason: 'rule-invalid', detail: unsupported.map(each => `${each.path}: ${each.says}`).join('; ') }
        : lowered.redirect !== undefined
          ? { type: 'redirect', redirect: lowered.redirect }
          : forward(backends, at)
    return matches.flatMap(({ match }, matchAt): readonly Route[] =>
      match === undefined
        ? []
        : [
            {
              name: `HTTPRoute/${nameOf(route)}/${index}${matches.length > 1 ? `.${matchAt}` : ''}`,
              origin: `HTTPRoute ${nameOf(route)} rule ${index}`,
              match,
              filters: unsupported.length > 0 ? [] : lowered.filters,
              action,
              ...timeoutsOf(rule),
            },
          ],
    )
  })
  return { routes, refs, invalid }
}

/** Nothing to go to is answered 500 (Gateway API HTTPRouteRule.backendRefs). */
function forward(backends: readonly WeightedBackend[], at: string): Action {
  const no = (detail: string): Action => ({ type: 'respond', status: 500, reason: 'backend-invalid', detail })
  if (backends.length === 0) return no(`${at} has no backendRefs`)
  if (backends.every(backend => backend.weight === 0)) return no(`${at}.backendRefs: no weight is above 0`)
  return { type: 'forward', backends }
}

function timeoutsOf({ timeouts }: HTTPRule): Pick<Route, 'timeouts'> {
  const ms = (text: string | undefined): number => (text === undefined ? 0 : durationMs(text))
  const [request, oneTry] = [ms(timeouts?.request), ms(timeouts?.backendRequest)]
  if (request === 0 && oneTry === 0) return {}
  return { timeouts: { ...(request === 0 ? {} : { requestMs: request }), ...(oneTry === 0 ? {} : { tryMs: oneTry }) } }
}

/** match: undefined where an expression cannot be used, for then nobody knows what it would match. */
function lowerMatch(match: HTTPMatch, at: string): { readonly match: Match | undefined; readonly unsupported: readonly Unsupported[] } {
  const unsupported: Unsupported[] = []
  const checked = (type: string, value: string, path: string): void => {
    const why = type === 'RegularExpression' ? whyNotRegex(value) : undefined
    if (why !== undefined) unsupported.push({ path, says: `the expression ${why}` })
  }
  checked(match.path.type, match.path.value, `${at}.path.value`)
  const values = (list: HTTPMatch['headers'], field: string, name: (text: string) => string): readonly ValueMatch[] => {
    const seen = new Set<string>()
    return (list ?? []).flatMap((each, index) => {
      const key = name(each.name)
      if (seen.has(key)) return [] // the first of a name counts (Gateway API HTTPHeaderMatch)
      seen.add(key)
      checked(each.type, each.value, `${at}.${field}[${index}].value`)
      return [{ name: key, type: each.type === 'Exact' ? 'exact' : 'regex', value: each.value }]
    })
  }
  const headers = values(match.headers, 'headers', text => text.toLowerCase())
  const query = values(match.queryParams, 'queryParams', text => text)
  if (unsupported.length > 0) return { match: undefined, unsupported }
  return {
    unsupported,
    match: {
      path: lowerPath(match.path),
      ...(match.method === undefined ? {} : { method: match.method }),
      ...(headers.length > 0 ? { headers } : {}),
      ...(query.length > 0 ? { query } : {}),
    },
  }
}

/** A slash at the end of a prefix says nothing: `/abc/` and `/abc` match alike (Gateway API PathMatchPathPrefix). */
function lowerPath({ type, value }: HTTPMatch['path']): PathMatch {
  if (type === 'PathPrefix') return { type: 'prefix', value: value.replace(/\/+$/, '') || '/' }
  return { type: type === 'Exact' ? 'exact' : 'regex', value }
}
