/** RateLimitPolicies, for the side that is called: what the workloads behind each port of a Service take in, in whole and by route. */

import type { Limited, LimitedRoute, Mesh, PlaceLimit } from '#model/mesh'
import type { RateLimit, Route, RouteTable } from '#model/view'
import { durationMs } from '#resources/duration'
import type { ParentRef } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import type { PolicyTarget, RateLimitPolicy } from '#resources/weft'
import { nameOf, namespaceOf } from './gather.ts'
import { isHttp } from './protocol.ts'
import type { ServicePort } from './services.ts'
import type { Judging, Objection, Targets } from './targets.ts'

type RouteShape = {
  readonly parentRefs?: readonly ParentRef[] | undefined
  readonly rules?:
    | readonly {
        readonly name?: string | undefined
        readonly filters?: readonly { readonly type: string; readonly urlRewrite?: { readonly path?: unknown } | undefined }[] | undefined
      }[]
    | undefined
}

/** The called side sees requests as they come to it, and does not know by which route. */
function whyNoLimit(policy: RateLimitPolicy, ref: PolicyTarget, path: string, route: Resource | undefined): Objection | undefined {
  if (route === undefined) return undefined
  const { parentRefs = [], rules = [] } = (route.spec ?? {}) as RouteShape
  const services = parentRefs.filter(parent => parent.kind === 'Service')
  if (services.length === 0) return undefined // a Gateway keeps it itself
  if (parentRefs.every(parent => parent.kind === 'Service' && parent.namespace !== undefined && parent.namespace !== namespaceOf(policy)))
    return {
      reason: 'Invalid',
      says: `${path}: the route holds for clients of its own namespace only, and a limit is kept by the called side: target a Service of this namespace`,
    }
  const rewrites = rules.findIndex(
    rule =>
      (ref.sectionName === undefined || rule.name === ref.sectionName) &&
      rule.filters?.some(filter => filter.urlRewrite?.path !== undefined),
  )
  if (rewrites < 0) return undefined
  return {
    reason: 'Invalid',
    says: `${path}: rules[${rewrites}] of the route rewrites the path, so that the called side does not see what it matches: target the Service`,
  }
}

export const judgingLimits: Judging<RateLimitPolicy> = {
  unable: (_, __, { carriers }) => (carriers.includes('requests') ? undefined : 'the limit is one of requests of HTTP'),
  objection: whyNoLimit,
}

/** tables: for clients of every namespace, by service port. */
export function lowerRateLimits(
  tables: readonly RouteTable[],
  ports: readonly ServicePort[],
  targets: Targets<RateLimitPolicy>,
): Mesh['rateLimits'] {
  if (targets.isEmpty) return {}
  const byKey = new Map(ports.map(port => [port.key, port]))
  const routesOf = new Map<string, LimitedRoute[]>()
  for (const table of tables) {
    const routes = table.hosts.flatMap(host => host.routes)
    const port = byKey.get(table.name)
    if (port === undefined) continue
    const wide = targets.ofPort(port)
    const limited = routes.flatMap((route): readonly LimitedRoute[] => {
      const own = targets.of(port, route.name).find(each => !wide.includes(each))?.policy
      if (own === undefined && rewritesPath(route)) return []
      const { name, origin, match } = route
      return [{ name, origin, match, ...(own === undefined ? {} : { rateLimit: lower(own) }) }]
    })
    if (!limited.some(route => route.rateLimit !== undefined)) continue
    for (const key of new Set(routes.flatMap(backendsOf))) {
      const before = routesOf.get(key) ?? []
      routesOf.set(key, [...before, ...limited])
    }
  }
  const found: Record<string, Limited[]> = {}
  for (const port of ports) {
    const policy = isHttp(port.protocol)
      ? targets.ofPort(port).find(({ level }) => level === 'Service' || level === 'port')?.policy
      : undefined
    const routes = routesOf.get(port.key) ?? []
    if (policy === undefined && routes.length === 0) continue
    const { namespace, selector, target } = port
    ;(found[namespace] ??= []).push({ selector, target, ...(policy === undefined ? {} : { rateLimit: lower(policy) }), routes })
  }
  return found
}

/** What holds for workloads that no Service's limit is for: those of some labels, of a namespace, and all; what counts most first. */
export const lowerPlaceLimits = (namespaces: readonly string[], targets: Targets<RateLimitPolicy>): Mesh['placeLimits'] =>
  targets.isEmpty
    ? {}
    : Object.fromEntries(
        namespaces.flatMap((namespace): [string, PlaceLimit[]][] => {
          const places = targets
            .ofPlace(namespace)
            .map(({ policy, labels }) => ({ ...(labels === undefined ? {} : { selector: labels }), rateLimit: lower(policy) }))
          return places.length === 0 ? [] : [[namespace, places]]
        }),
      )

/** A Gateway is itself the called side of those outside: limits of routes are kept where they come in. */
export function limitAtGateways(gateways: Mesh['gateways'], targets: Targets<RateLimitPolicy>): Mesh['gateways'] {
  if (targets.isEmpty) return gateways
  const limited = (route: Route): Route => {
    const policy = targets.of(undefined, route.name)[0]?.policy
    return policy === undefined ? route : { ...route, rateLimit: lower(policy) }
  }
  return Object.fromEntries(
    Object.entries(gateways).map(([name, gateway]) => {
      const routes = Object.entries(gateway.routes).map(([key, table]) => {
        const hosts = table.hosts.map(host => ({ ...host, routes: host.routes.map(limited) }))
        return [key, { ...table, hosts }] as const
      })
      return [name, { ...gateway, routes: Object.fromEntries(routes) }]
    }),
  )
}

const rewritesPath = ({ filters }: Route): boolean => filters.some(filter => filter.type === 'rewrite' && filter.path !== undefined)

const backendsOf = ({ action }: Route): readonly string[] =>
  action.type === 'forward'
    ? action.backends.flatMap(({ backend, weight }) => (backend === undefined || weight === 0 ? [] : [backend]))
    : []

function lower(policy: RateLimitPolicy): RateLimit {
  const { local, by } = policy.spec!
  return {
    name: nameOf(policy),
    requests: local.requests,
    intervalMs: durationMs(local.interval),
    burst: local.burst ?? local.requests,
    ...(by === undefined
      ? {}
      : { by: by.type === 'Identity' ? { type: 'identity' } : { type: 'header', name: (by.header ?? '').toLowerCase() } }),
  }
}
