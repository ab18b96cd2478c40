/** RateLimitPolicies, for the side that is called: what the workloads behind each port of a Service take in, in whole and by route. */

import { defaultIdTemplate, idBy } from '#base/id-template'
import type { Limited, LimitedRoute, Limits, Mesh, PlaceLimit } from '#model/mesh'
import type { DescriptorEntry, LimitKey, LimitKeyType, LimitService, Quota, Rate, RateLimit, RateOverride } from '#model/rate-limit'
import type { Route, RouteTable } from '#model/route'
import { gatewayService, type Workload } from '#model/workload'
import { durationMs } from '#resources/duration'
import type { ParentRef } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import { keyOfWhen, type LimitBy, type PolicyTarget, type RateLimitPolicy } from '#resources/weft'
import { nameOf, namespaceOf } from '../gather.ts'
import type { FoundLimitService } from './limit-service.ts'
import { selects, type ServicePort, whyNobody } from '../services/services.ts'
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

const speakOf = { local: 'requests', global: 'requests', connections: 'connections' } as const

export const judgingLimits = ({ isOwn, why }: FoundLimitService): Judging<RateLimitPolicy> => ({
  unable: ({ spec }, _, { carriers, port }) => {
    const nobody = whyNobody(port)
    if (nobody !== undefined) return nobody
    const said = (['local', 'global', 'connections'] as const).filter(part => spec?.[part] !== undefined)
    if (said.some(part => carriers.includes(speakOf[part]))) return undefined
    return said.includes('connections') ? 'connections are limited where their bytes are opaque' : 'the limit is one of requests of HTTP'
  },
  objection: (policy, ref, path, route) => {
    const { global } = policy.spec ?? {}
    if (global !== undefined && why !== undefined) return { reason: 'Invalid', says: `spec.global: ${why}` }
    if (global !== undefined && isOwn && global.requests === undefined)
      return { reason: 'Invalid', says: 'spec.global.requests: is needed, for the service in the control plane keeps the limit' }
    return whyNoLimit(policy, ref, path, route)
  },
})

/** What a policy comes to, made once. */
export class Limiting {
  readonly #found: FoundLimitService
  readonly #ids: Ids
  readonly #made = new Map<RateLimitPolicy, Limits>()

  constructor(found: FoundLimitService, ids: Ids) {
    this.#found = found
    this.#ids = ids
  }

  of(policy: RateLimitPolicy): Limits {
    let made = this.#made.get(policy)
    if (made === undefined) this.#made.set(policy, (made = lower(policy, this.#found, this.#ids)))
    return made
  }

  /** What the control plane keeps for all; spenders: those who may ask about each, by the name of the policy. */
  shared(policies: readonly RateLimitPolicy[], spenders: ReadonlyMap<string, ReadonlySet<string>>): Mesh['sharedLimits'] {
    if (!this.#found.isOwn) return {}
    return Object.fromEntries(
      policies.flatMap(policy => {
        const name = nameOf(policy)
        const limit = sharedLimit(policy, this.#ids)
        const who = spenders.get(name)
        return limit === undefined || who === undefined ? [] : [[name, { ...limit, spenders: [...who].sort() }] as const]
      }),
    )
  }
}

/** tables: for clients of every namespace, by service port. */
export function lowerRateLimits(
  tables: readonly RouteTable[],
  ports: readonly ServicePort[],
  targets: Targets<RateLimitPolicy>,
  limiting: Limiting,
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
      return [{ name, origin, match, ...(own === undefined ? {} : { limits: limiting.of(own) }) }]
    })
    if (!limited.some(route => route.limits !== undefined)) continue
    for (const key of new Set(routes.flatMap(backendsOf))) {
      const before = routesOf.get(key) ?? []
      routesOf.set(key, [...before, ...limited])
    }
  }
  const found: Record<string, Limited[]> = {}
  for (const port of ports) {
    const policy =
      port.protocol === 'udp' ? undefined : targets.ofPort(port).find(({ level }) => level === 'Service' || level === 'port')?.policy
    const routes = routesOf.get(port.key) ?? []
    if (policy === undefined && routes.length === 0) continue
    const { namespace, selector, target } = port
    ;(found[namespace] ??= []).push({ selector, target, ...(policy === undefined ? {} : { limits: limiting.of(policy) }), routes })
  }
  return found
}

/** What holds for workloads that no Service's limit is for: those of some labels, of a namespace, and all; what counts most first. */
export const lowerPlaceLimits = (
  namespaces: readonly string[],
  targets: Targets<RateLimitPolicy>,
  limiting: Limiting,
): Mesh['placeLimits'] =>
  targets.isEmpty
    ? {}
    : Object.fromEntries(
        namespaces.flatMap((namespace): [string, PlaceLimit[]][] => {
          const places = targets
            .ofPlace(namespace)
            .map(({ policy, labels }) => ({ ...(labels === undefined ? {} : { selector: labels }), limits: limiting.of(policy) }))
          return places.length === 0 ? [] : [[namespace, places]]
        }),
      )

/** A Gateway is itself the called side of those outside: limits of routes are kept where they come in. */
export function limitAtGateways(
  gateways: Mesh['gateways'],
  targets: Targets<RateLimitPolicy>,
  limiting: Limiting,
  service: LimitService,
): Mesh['gateways'] {
  if (targets.isEmpty) return gateways
  const limited = (route: Route): Route => {
    const policy = targets.of(undefined, route.name)[0]?.policy
    if (policy === undefined) return route
    const { rateLimit, quota } = limiting.of(policy)
    // What is answered here costs nobody anything.
    const isForwarded = route.action.type === 'forward'
    return { ...route, ...(rateLimit === undefined ? {} : { rateLimit }), ...(quota === undefined || !isForwarded ? {} : { quota }) }
  }
  return Object.fromEntries(
    Object.entries(gateways).map(([name, gateway]) => {
      const routes = Object.entries(gateway.routes).map(([key, table]) => {
        const hosts = table.hosts.map(host => ({ ...host, routes: host.routes.map(limited) }))
        return [key, { ...table, hosts }] as const
      })
      const asking = new Set(
        routes.flatMap(([key, { hosts }]) => (hosts.some(host => host.routes.some(route => route.quota !== undefined)) ? [key] : [])),
      )
      const listeners = Object.entries(gateway.listeners).map(([key, listener]) => {
        const isAsking = [listener.routes, ...(listener.terminates ?? []).map(each => each.routes)].some(each => asking.has(each ?? ''))
        return [key, isAsking ? { ...listener, limitService: service } : listener] as const
      })
      return [name, { ...gateway, listeners: Object.fromEntries(listeners), routes: Object.fromEntries(routes) }]
    }),
  )
}

const rewritesPath = ({ filters }: Route): boolean => filters.some(filter => filter.type === 'rewrite' && filter.path !== undefined)

const backendsOf = ({ action }: Route): readonly string[] =>
  action.type === 'forward'
    ? action.backends.flatMap(({ backend, weight }) => (backend === undefined || weight === 0 ? [] : [backend]))
    : []

/** By policy, who may ask about it: the workloads that it limits, and the proxies of Gateways that carry its routes. */
export function spendersOf(
  mesh: Pick<Mesh, 'rateLimits' | 'placeLimits' | 'gateways'>,
  workloads: readonly Workload[],
  ids: Ids,
): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  const add = (limits: { readonly quota?: Quota } | undefined, identity: string): void => {
    if (limits?.quota === undefined) return
    const known = found.get(limits.quota.name) ?? new Set()
    found.set(limits.quota.name, known.add(identity))
  }
  for (const workload of workloads) {
    const { namespace, identity } = workload
    for (const { selector, limits, routes } of mesh.rateLimits[namespace] ?? []) {
      if (!selects(selector, workload)) continue
      add(limits, identity)
      for (const route of routes) add(route.limits, identity)
    }
    for (const { selector, limits } of mesh.placeLimits[namespace] ?? [])
      if (selector === undefined || selects(selector, workload)) add(limits, identity)
  }
  for (const [name, { routes }] of Object.entries(mesh.gateways)) {
    const [namespace = '', own = ''] = name.split('/')
    const identity = accountId(ids, namespace, gatewayService(own))
    for (const table of Object.values(routes)) for (const host of table.hosts) for (const route of host.routes) add(route, identity)
  }
  return found
}

/** idTemplate: absent: the default. */
type Ids = { readonly trustDomain: string; readonly idTemplate?: string }
const accountId = ({ trustDomain, idTemplate = defaultIdTemplate }: Ids, namespace: string, serviceAccount: string): string =>
  idBy(idTemplate, trustDomain, { namespace, serviceAccount })

function lower(policy: RateLimitPolicy, { isOwn }: FoundLimitService, ids: Ids): Limits {
  const { local, global, connections, by = [] } = policy.spec!
  const name = nameOf(policy)
  const keys = by.map(keyOf)
  const quota: Quota | undefined = global && {
    name,
    failsOpen: global.failOpen,
    descriptors: [[{ key: 'policy', type: 'constant', value: name }, ...keys.map(entryOf)]],
    ...(isOwn || global.requests === undefined ? {} : { rate: rateOf({ ...global, requests: global.requests }) }),
  }
  return {
    ...(local === undefined ? {} : { rateLimit: limitOf(policy, local, 'local', ids) }),
    ...(quota === undefined ? {} : { quota }),
    ...(connections === undefined ? {} : { connectionLimit: { name, ...rateOf({ ...connections, requests: connections.new }) } }),
  }
}

const sharedLimit = (policy: RateLimitPolicy, ids: Ids): RateLimit | undefined => {
  const { global } = policy.spec!
  if (global?.requests === undefined) return undefined
  return limitOf(policy, { ...global, requests: global.requests }, 'global', ids)
}

type SaidRate = { readonly requests: number; readonly interval: string; readonly burst?: number | undefined }

function limitOf(policy: RateLimitPolicy, said: SaidRate, scope: 'local' | 'global', ids: Ids): RateLimit {
  const { by = [], overrides = [] } = policy.spec!
  const found = overrides.flatMap(({ when, [scope]: rate }): readonly RateOverride[] => {
    if (rate === undefined) return []
    const conditions = when.map(condition => {
      const key = keyOfWhen(by, condition)
      return {
        key,
        values: condition.type === 'Identity' ? condition.values.map(value => identityOf(value, ids)) : condition.values,
      }
    })
    return [{ ...rateOf(rate), when: conditions }]
  })
  return {
    name: nameOf(policy),
    ...rateOf(said),
    ...(by.length === 0 ? {} : { by: by.map(keyOf) }),
    ...(found.length === 0 ? {} : { overrides: found }),
  }
}

/** A SPIFFE id, or NAMESPACE/SERVICEACCOUNT of this mesh; "-" is nobody known. */
function identityOf(value: string, ids: Ids): string {
  const [namespace = '', account] = value.split('/')
  return account === undefined || value.startsWith('spiffe://') ? value : accountId(ids, namespace, account)
}

const rateOf = ({ requests, interval, burst }: SaidRate): Rate => ({
  requests,
  intervalMs: durationMs(interval),
  burst: burst ?? requests,
})

function keyOf({ type, header, query }: LimitBy): LimitKey {
  if (type === 'Header') return { type: 'header', name: header!.toLowerCase() }
  if (type === 'Query') return { type: 'query', name: query! }
  return { type: type.toLowerCase() as LimitKeyType }
}

const entryOf = (key: LimitKey): DescriptorEntry => ({
  key: 'name' in key ? `${key.type}.${key.name}` : key.type,
  ...key,
  ...(key.type === 'path' || key.type === 'method' || key.type === 'address' || key.type === 'host' ? {} : { absent: '-' }),
})
