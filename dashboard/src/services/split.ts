/** The weights of a route: reading them, changing one share so that all still add up to 100, and writing them back. */

import type { Resource } from '../api/shapes.ts'

export type BackendRef = {
  readonly name: string
  readonly namespace?: string
  readonly port?: number
  readonly weight?: number
  readonly [other: string]: unknown
}
export type Rule = {
  readonly name?: string
  readonly matches?: readonly RuleMatch[]
  readonly filters?: readonly { readonly type: string }[]
  readonly backendRefs?: readonly BackendRef[]
  readonly [other: string]: unknown
}
export type RuleMatch = {
  readonly path?: { readonly type?: string; readonly value?: string }
  readonly method?: string | { readonly service?: string; readonly method?: string }
  readonly headers?: readonly { readonly name: string; readonly value: string }[]
  readonly queryParams?: readonly { readonly name: string; readonly value: string }[]
}
export type ParentRef = { readonly kind?: string; readonly name: string; readonly namespace?: string; readonly port?: number }
export type RouteSpec = {
  readonly parentRefs?: readonly ParentRef[]
  readonly hostnames?: readonly string[]
  readonly rules?: readonly Rule[]
}

export const specOf = (route: Resource): RouteSpec => (route.spec ?? {}) as RouteSpec

/** True for a route that is attached to the service itself (GAMMA: parentRef of kind Service). */
export const isAttached = (route: Resource, service: { readonly name: string; readonly namespace: string }): boolean =>
  (specOf(route).parentRefs ?? []).some(
    parent =>
      parent.kind === 'Service' &&
      parent.name === service.name &&
      (parent.namespace ?? route.metadata.namespace ?? 'default') === service.namespace,
  )

/** A backend without weight counts 1 (Gateway API); whole percents that add up to 100, or all 0. */
export function percentsOf(refs: readonly BackendRef[]): readonly number[] {
  const weights = refs.map(ref => ref.weight ?? 1)
  return toHundred(weights)
}

/** Largest remainder: whole numbers in proportion to `parts`, which add up to 100. */
export function toHundred(parts: readonly number[]): readonly number[] {
  const total = parts.reduce((sum, part) => sum + part, 0)
  if (total <= 0) return parts.map(() => 0)
  const exact = parts.map(part => (part / total) * 100)
  const whole = exact.map(Math.floor)
  const missing = 100 - whole.reduce((sum, part) => sum + part, 0)
  const byRest = exact.map((part, index) => ({ index, rest: part - whole[index]! })).sort((a, b) => b.rest - a.rest)
  const lifted = new Set(byRest.slice(0, missing).map(entry => entry.index))
  return whole.map((part, index) => (lifted.has(index) ? part + 1 : part))
}

/** Sets one share; the others give or take in proportion to what they have, evenly where they have nothing. */
export function withShare(shares: readonly number[], changed: number, percent: number): readonly number[] {
  const value = Math.min(100, Math.max(0, Math.round(percent)))
  if (shares.length === 1) return [100]
  const others = shares.filter((_, index) => index !== changed)
  const hasAny = others.some(share => share > 0)
  const spread = toHundred(hasAny ? others : others.map(() => 1))
  const rest = 100 - value
  const scaled = toHundred(spread).map(share => (share * rest) / 100)
  const whole = roundTo(rest, scaled)
  return shares.map((_, index) => (index === changed ? value : whole[index < changed ? index : index - 1]!))
}

function roundTo(total: number, parts: readonly number[]): readonly number[] {
  const whole = parts.map(Math.floor)
  const missing = total - whole.reduce((sum, part) => sum + part, 0)
  const byRest = parts.map((part, index) => ({ index, rest: part - whole[index]! })).sort((a, b) => b.rest - a.rest || a.index - b.index)
  const lifted = new Set(byRest.slice(0, missing).map(entry => entry.index))
  return whole.map((part, index) => (lifted.has(index) ? part + 1 : part))
}

/** The route with new weights in one rule, everything else as it was. */
export function withWeights(route: Resource, rule: number, weights: readonly number[]): Resource {
  const spec = specOf(route)
  const rules = (spec.rules ?? []).map((old, index) =>
    index === rule
      ? { ...old, backendRefs: (old.backendRefs ?? []).map((ref, at) => ({ ...ref, weight: weights[at] ?? ref.weight ?? 1 })) }
      : old,
  )
  return { ...route, spec: { ...spec, rules } }
}

/** One line about what a rule matches: `GET /cart · header x-user: a`. */
export function tellMatches(rule: Rule): string {
  if (!rule.matches || rule.matches.length === 0) return 'everything'
  return rule.matches.map(tellMatch).join('  or  ')
}

function tellMatch(match: RuleMatch): string {
  const method = typeof match.method === 'object' ? [match.method.service, match.method.method].filter(Boolean).join('/') : match.method
  const path =
    match.path && !(match.path.value === '/' && (match.path.type ?? 'PathPrefix') === 'PathPrefix')
      ? `${match.path.value}${match.path.type === 'Exact' ? '' : match.path.type === 'RegularExpression' ? ' (regex)' : '…'}`
      : undefined
  const parts = [
    [method, path].filter(Boolean).join(' '),
    ...(match.headers ?? []).map(header => `header ${header.name}: ${header.value}`),
    ...(match.queryParams ?? []).map(query => `?${query.name}=${query.value}`),
  ].filter(part => part !== '')
  return parts.join(' · ') || 'everything'
}
