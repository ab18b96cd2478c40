/**
 * What of a view Envoy has no means for, and what an Envoy gets in its place: one table. It is sent nothing that it would refuse, for it would then go on as
 * before; and where it would do less than a policy asks for, what the policy is about is closed.
 */

import type { Authorizer } from './authorizer.ts'
import type { Backend, EndpointSet } from './backend.ts'
import { deniedAt, type Egress } from './egress.ts'
import { canBreak, canCompress, canCount, canLimit, canMeasure, canRewrite, isUsual } from './envoy/can.ts'
import type { Listener } from './listener.ts'
import type { Route, RouteTable, VirtualHost } from './route.ts'
import type { View } from './view.ts'

export { withoutLookAlikes } from './envoy/look-alikes.ts'

export { beyondShares, canBreak, canCompress, canCount, canLimit, isCountable, isKilobytes, isUsual } from './envoy/can.ts'

/**
 * closed: requests are answered 503, connections and datagrams go nowhere. partly: the same of a part of them. without: the rest of what is configured is
 * done without it. less: it is done otherwise, and nothing is let on by that; it is sent as it is.
 */
export type Fate = 'closed' | 'partly' | 'without' | 'less'

/** kind: of the documents that ask for it. asks: which field of them. why: what Envoy lacks. instead: what it does. */
type Row = { readonly kind: string; readonly asks: string; readonly why: string; readonly fate: Fate; readonly instead: string }

/** docs/reference/envoy.md is written from it. */
export const lacks = {
  login: {
    kind: 'LoginPolicy',
    asks: 'any',
    why: 'its login (oauth2) takes what the provider says without a look at the ID token',
    fate: 'closed',
    instead: 'requests of its routes are answered 503',
  },
  wholeBodies: {
    kind: 'ExternalAuthorizationPolicy',
    asks: '`provider.forwardBody.tooLarge: Refuse`',
    why: 'it shows the beginning of a body that ends in its first frame of HTTP/2, however long that is, and lets all of it on',
    fate: 'closed',
    instead: 'requests that are to be asked about are answered 503',
  },
  limitByCaller: {
    kind: 'RateLimitPolicy',
    asks: '`local` with `by`, or for several routes',
    why: 'it has one bucket for each route',
    fate: 'closed',
    instead: 'requests of its routes are answered 503',
  },
  countByQuery: {
    kind: 'RateLimitPolicy',
    asks: '`global` by `Query` or `Address`, or at a service of your own with `requests`',
    why: 'it has no word for these when it asks the service',
    fate: 'closed',
    instead: 'requests of its routes are answered 503; with `failOpen: true` they are not limited',
  },
  sizes: {
    kind: 'RoutePolicy',
    asks: '`limits.requestHeaders`, `limits.requestHeaderBytes`, or a `limits.requestBody` below 16Ki or of 4Gi and more',
    why: 'it counts bytes of bodies, in 32 bits, and not of those that end in their first frame of HTTP/2',
    fate: 'closed',
    instead: 'requests are answered 503',
  },
  rewriteOfShare: {
    kind: 'HTTPRoute',
    asks: 'a `URLRewrite` of a path, or of a host by the request, in `backendRefs[].filters`',
    why: 'it rewrites paths for whole routes',
    fate: 'partly',
    instead: 'the share of that backend is answered 500',
  },
  tlsInside: {
    kind: 'BackendTLSPolicy',
    asks: 'a Service whose workloads have proxies',
    why: 'it begins no TLS inside the mutual TLS of the mesh',
    fate: 'partly',
    instead: 'these endpoints are not called; without others requests are answered 503',
  },
  egressOfDatagrams: {
    kind: 'EgressPolicy',
    asks: 'anything of a UDP port of an ExternalService',
    why: 'it judges no datagrams',
    fate: 'closed',
    instead: 'datagrams to that port go nowhere',
  },
  egressOfEndpoints: {
    kind: 'EgressPolicy',
    asks: '`networks` that endpoints of an EndpointSlice outside the mesh are in',
    why: 'it does not look at addresses of endpoints',
    fate: 'partly',
    instead: 'denied endpoints are not sent to it',
  },
  egressOfNames: {
    kind: 'EgressPolicy',
    asks: '`networks` of a Deny rule, where names are known only when they are called: wildcard hosts, `hosts` of Allow rules',
    why: 'it does not look at what a name resolves to',
    fate: 'closed',
    instead: 'such names are not called',
  },
  egressOfHosts: {
    kind: 'EgressPolicy',
    asks: '`networks` of a Deny rule that a host of an ExternalService resolves to',
    why: 'it does not look at what a name resolves to',
    fate: 'without',
    instead: 'the host is called wherever it is; say its addresses in an EndpointSlice, or deny its name',
  },
  faultByChance: {
    kind: 'FaultPolicy',
    asks: '`delay.jitter`, `abort.reset`, a `bandwidth` of requests or not in whole kilobytes; TCP and UDP',
    why: 'it has fixed delays, answers as aborts, and slow answers',
    fate: 'without',
    instead: 'nothing of the fault is done',
  },
  compressionOfRequests: {
    kind: 'RoutePolicy',
    asks: '`compression.requests`, `compression.decompress`, or other types and sizes than the usual',
    why: 'it has one setting for all routes',
    fate: 'without',
    instead: 'such bodies stay as they are',
  },
  endOfFault: {
    kind: 'FaultPolicy',
    asks: '`expires`',
    why: 'it knows no time at which a fault ends',
    fate: 'less',
    instead: 'the control plane ends it; while that is away the fault goes on',
  },
  endOfToken: {
    kind: 'JWTPolicy',
    asks: '`whenExpired: End`',
    why: 'it looks at a token once',
    fate: 'less',
    instead: 'what is under way when its token ends goes on',
  },
  datagramsByAddress: {
    kind: 'Workload',
    asks: 'a UDP port, called by the address of the workload',
    why: 'it takes datagrams only where it is bound',
    fate: 'less',
    instead: 'datagrams to it are called by a Service',
  },
  spansAsJson: {
    kind: 'TelemetryPolicy',
    asks: '`tracing.exporter.otlp.protocol: HTTPJSON`',
    why: 'it writes spans in protobuf only',
    fate: 'less',
    instead: 'the collector gets protobuf at the same address',
  },
  propagationByB3: {
    kind: 'TelemetryPolicy',
    asks: '`tracing.propagation` with `B3`',
    why: 'its tracer for OpenTelemetry reads and writes `traceparent` only',
    fate: 'less',
    instead: 'headers of B3 pass as they are',
  },
  fieldsOfLog: {
    kind: 'TelemetryPolicy',
    asks: '`decision`, `rule`, `condition` and `source` in `accessLog.format`',
    why: 'it numbers no decision, and knows nothing of rules but their names',
    fate: 'less',
    instead: 'they are left out of its lines; `detail` and `policy` say what it knows',
  },
  sharesOfDatagrams: {
    kind: 'UDPRoute',
    asks: 'several backends',
    why: 'it knows one for datagrams',
    fate: 'less',
    instead: 'all go to the one with the greatest weight',
  },
} as const satisfies Record<string, Row>

export type LackName = keyof typeof lacks

/** kind, name (`NAMESPACE/NAME`): the document that asks for it; name: '': it is not known which. at: the route, listener or backend. */
export type Lack = { readonly what: LackName; readonly kind: string; readonly name: string; readonly at: string }

/** What an Envoy does of a document. */
export const tellLack = ({ what, at }: Lack): string => {
  const { asks, why, instead } = lacks[what]
  return `Envoy does not carry out ${asks === 'any' ? 'it' : asks.replaceAll('`', '')} (${at}): ${why}; ${instead.replaceAll('`', '')}`
}

/**
 * egress: what its workload may call outside the mesh. bodies: names of the RoutePolicies by which bodies are judged where requests are taken in, by table.
 * others: of what is the same at all listeners, with the document that asks for it.
 */
export type Around = {
  readonly egress?: Egress | undefined
  readonly bodies?: Readonly<Record<string, readonly string[]>>
  readonly others?: readonly Omit<Lack, 'kind'>[]
}
export type EnvoyView = { readonly view: View; readonly lacking: readonly Lack[] }

/** The view of a proxy that is an Envoy; what Envoy carries out is the same object in it. */
export function forEnvoy(view: View, around: Around = {}): EnvoyView {
  const lacking: Lack[] = []
  const says: Says = (what, name, at, kind = lacks[what].kind) => {
    if (!lacking.some(each => each.what === what && each.name === name && each.at === at)) lacking.push({ what, kind, name, at })
  }
  const unasked = new Set(
    Object.values(view.listeners).flatMap(({ authorizers = [] }) => authorizers.filter(isWhole).map(each => each.name)),
  )
  for (const { what, name, at } of around.others ?? []) says(what, name, at)
  const routes = each(view.routes, (table, key) => tableFor(table, { unasked, by: around.bodies?.[key] }, says))
  const listeners = each(view.listeners, listener => listenerFor(listener, says))
  const endpoints = each(view.endpoints, (set, key) => endpointsFor(set, view.backends[key], around.egress, says))
  const backends = each(view.backends, backend => backendFor(backend, around.egress, says))
  const isSame = routes === view.routes && listeners === view.listeners && endpoints === view.endpoints && backends === view.backends
  return { view: isSame ? view : { ...view, routes, listeners, endpoints, backends }, lacking }
}

/** kind: of the document, where it is another than that of the table. */
type Says = (what: LackName, name: string, at: string, kind?: string) => void

const isWhole = ({ body }: Authorizer): boolean => body?.isCut === false

type Asked = { readonly unasked: ReadonlySet<string>; readonly by?: readonly string[] | undefined }

function tableFor(table: RouteTable, asked: Asked, says: Says): RouteTable {
  const shared = sharedBuckets(table)
  const hosts = map(table.hosts, (host): VirtualHost => {
    const routes = map(host.routes, route => routeFor(route, { ...asked, shared }, says))
    return routes === host.routes ? host : { ...host, routes }
  })
  return hosts === table.hosts ? table : { ...table, hosts }
}

/** Names of the limits that several routes keep together. */
export function sharedBuckets({ hosts }: RouteTable): ReadonlySet<string> {
  const seen = new Set<string>()
  const shared = new Set<string>()
  for (const { routes } of hosts)
    for (const { rateLimit } of routes) if (rateLimit !== undefined) (seen.has(rateLimit.name) ? shared : seen).add(rateLimit.name)
  return shared
}

function routeFor(route: Route, { unasked, by = [], shared }: Asked & { readonly shared: ReadonlySet<string> }, says: Says): Route {
  const { login, authorize, rateLimit, quota, sizes, compression, fault, action, origin } = route
  const closing: LackName[] = []
  // A policy for a route is not known by name here: the route itself says it.
  const byBodies = (what: LackName): void => {
    for (const name of by) says(what, name, origin)
    const [kind = ''] = route.name.split('/')
    if (by.length === 0) says(what, documentOf(route), origin, kind)
  }
  const closes = (what: LackName, names: readonly string[]): void => {
    for (const name of names) says(what, name, origin)
    closing.push(what)
  }
  if (login !== undefined) closes('login', [login])
  const whole = authorize?.filter(name => unasked.has(name)) ?? []
  if (whole.length > 0) closes('wholeBodies', whole)
  if (rateLimit !== undefined && !canLimit(rateLimit, shared.has(rateLimit.name))) closes('limitByCaller', [rateLimit.name])
  const isUncounted = quota !== undefined && !canCount(quota)
  if (isUncounted && !quota.failsOpen) closes('countByQuery', [quota.name])
  if (sizes !== undefined && !canMeasure(sizes)) {
    byBodies('sizes')
    closing.push('sizes')
  }
  const [first] = closing
  if (first !== undefined) return closed(route, first)

  let rest = route
  if (isUncounted) {
    says('countByQuery', quota.name, origin)
    const { quota: _, ...kept } = rest
    rest = kept
  }
  if (fault !== undefined && !canBreak(fault)) {
    says('faultByChance', fault.policy, origin)
    const { fault: _, ...kept } = rest
    rest = kept
  } else if (fault?.endsAt !== undefined) says('endOfFault', fault.policy, origin)
  if (compression !== undefined && !canCompress(compression)) {
    byBodies('compressionOfRequests')
    const { compression: _, ...kept } = rest
    const { answers } = compression
    rest = isUsual(answers) ? { ...kept, compression: { answers } } : kept
  }
  if (action.type === 'forward' && !action.backends.every(canRewrite)) {
    says('rewriteOfShare', documentOf(route), origin)
    const backends = action.backends.map(share => (canRewrite(share) ? share : { backend: undefined, weight: share.weight }))
    rest = { ...rest, action: { ...action, backends } }
  }
  return rest
}

const closed = ({ name, origin, match }: Route, what: LackName): Route => ({
  name,
  origin,
  match,
  filters: [],
  action: { type: 'respond', status: 503, detail: `${lacks[what].kind}: ${lacks[what].why}: this proxy is an Envoy` },
})

/** `Kind/NAMESPACE/NAME/RULE` → `NAMESPACE/NAME`. */
const documentOf = ({ name }: Route): string => name.split('/').slice(1, 3).join('/')

/** Undefined: it is left out. */
function listenerFor(listener: Listener, says: Says): Listener | undefined {
  const { name, protocol, direction, isBound, authorizers, logins, tokens, fault, egress, backends = [] } = listener
  for (const each of tokens ?? []) if (each.isBoundToToken === true) says('endOfToken', each.name, name)
  if (protocol === 'udp' && backends.filter(({ weight }) => weight > 0).length > 1) says('sharesOfDatagrams', '', name)
  if (protocol === 'udp' && direction === 'outbound' && egress !== undefined && (egress.default === 'deny' || egress.deny.length > 0)) {
    says('egressOfDatagrams', policyOf(egress.deny[0]?.name) ?? egress.policy, name)
    return undefined
  }
  if (protocol === 'udp' && direction === 'outbound' && isBound !== true) {
    says('datagramsByAddress', '', name)
    return undefined
  }
  if (fault !== undefined) says('faultByChance', fault.policy, name)
  if (fault === undefined && logins === undefined && authorizers?.some(isWhole) !== true) return listener
  const { fault: _fault, logins: _logins, authorizers: _authorizers, ...rest } = listener
  const asked = authorizers?.filter(authorizer => !isWhole(authorizer)) ?? []
  return { ...rest, ...(asked.length === 0 ? {} : { authorizers: asked }) }
}

/** Of `NAMESPACE/POLICY#RULE`. */
const policyOf = (rule: string | undefined): string | undefined => rule?.slice(0, rule.lastIndexOf('#'))

/** Undefined: it is left out, and what leads to it leads nowhere. */
function backendFor(backend: Backend, egress: Egress | undefined, says: Says): Backend | undefined {
  if (backend.type !== 'hosts' && backend.type !== 'named') return backend
  const rule = egress?.deny.find(({ to }) => to.some(({ networks }) => networks !== undefined))
  if (rule === undefined) return backend
  says(backend.type === 'hosts' ? 'egressOfHosts' : 'egressOfNames', policyOf(rule.name) ?? '', backend.name)
  return backend.type === 'hosts' ? backend : undefined
}

function endpointsFor(
  set: EndpointSet,
  backend: View['backends'][string] | undefined,
  egress: Egress | undefined,
  says: Says,
): EndpointSet {
  if (backend === undefined) return set
  const { name, isTlsInside, tls, isExternal } = backend
  const kept = set.endpoints.filter(({ mtls, host, port }) => {
    if (isTlsInside === true && tls !== undefined && mtls) {
      says('tlsInside', '', name)
      return false
    }
    const rule = isExternal === true && !mtls && egress !== undefined ? deniedAt(egress, host, port) : undefined
    if (rule !== undefined) says('egressOfEndpoints', policyOf(rule) ?? '', name)
    return rule === undefined
  })
  return kept.length === set.endpoints.length ? set : { ...set, endpoints: kept }
}

/** The same list where nothing of it is another. */
function map<Part>(list: readonly Part[], work: (part: Part) => Part): readonly Part[] {
  const made = list.map(work)
  return made.every((part, at) => part === list[at]) ? list : made
}

/** The same record where nothing of it is another; what comes to nothing is left out. */
function each<Part>(
  all: Readonly<Record<string, Part>>,
  work: (part: Part, key: string) => Part | undefined,
): Readonly<Record<string, Part>> {
  const made: Record<string, Part> = {}
  let isSame = true
  for (const [key, part] of Object.entries(all)) {
    const next = work(part, key)
    if (next !== part) isSame = false
    if (next !== undefined) made[key] = next
  }
  return isSame ? all : made
}
