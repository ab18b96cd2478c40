/** One proxy's view, cut from the mesh: what its workload may call, and what is taken in for it. */

import type { Access } from '#model/access-rule'
import type { Authorizer } from '#model/authorizer'
import type { Backend } from '#model/backend'
import type { Listener, Protocol } from '#model/listener'
import type { Limited, Limits, Mesh } from '#model/mesh'
import { onLoopback } from '#model/loopback'
import { inTls, portName } from '#model/port'
import type { Route, RouteTable, WeightedBackend } from '#model/route'
import type { Telemetry } from '#model/telemetry'
import type { TokenPolicy } from '#model/token'
import type { View } from '#model/view'
import type { ProxyNode, WorkloadPort } from '#model/workload'
import { accessAt } from './access/at.ts'
import { modeAt, takenAt } from './access/authentication.ts'
import { byNearness } from './policies/balance.ts'
import { egressOf } from './outside/egress.ts'
import type { Client } from './clients.ts'
import { keep } from './keep.ts'
import { byName } from './services/names.ts'
import { inOrder, rankOfRequest } from './routes/order.ts'
import { withWayOut } from './outside/hosts.ts'
import { backendsFor, classOf, nearFor, outboundFor, settledFor } from './policies/per-client.ts'
import { telemetryOf, tracingBackends, withTelemetry } from './policies/telemetry.ts'
import { keyBackends } from './access/tokens.ts'
import { backendProtocol, isHttp, isOpaque } from './services/protocol.ts'
import { portOf, selects } from './services/services.ts'

type Shared = Pick<View, 'listeners' | 'routes' | 'backends' | 'dns'>
/** What is the same for all clients of a namespace that the same policies and routes are meant for, made once for each mesh. */
const shared = new WeakMap<Mesh, Map<string, Shared>>()

/** previous: the view that this proxy had; what did not change is the same object in the new one. */
export function viewFor(mesh: Mesh, node: ProxyNode, previous?: View): View {
  if (node.gateway !== undefined) return keep<View>(previous, gatewayView(mesh, node, node.gateway.name))
  const telemetry = telemetryOf(mesh, node)
  const { listeners, routes, backends, dns } = sharedBy(mesh, node, telemetry)
  const inbound = node.ports.flatMap(port => (port.bind === undefined ? [] : [takeIn(mesh, node, port, port.bind)]))
  const view: View = {
    listeners: { ...listeners, ...withTelemetry(Object.fromEntries(inbound.map(each => [each.listener.name, each.listener])), telemetry) },
    routes: { ...routes, ...Object.fromEntries(inbound.flatMap(({ table }) => (table === undefined ? [] : [[table.name, table]]))) },
    backends: {
      ...backends,
      ...Object.fromEntries(inbound.map(each => [each.backend.name, each.backend])),
      ...keyBackends(Object.fromEntries(inbound.map(each => [each.listener.name, each.listener]))),
    },
    endpoints: endpointsFor(mesh, node),
    dns,
    trust: mesh.trust,
  }
  return keep<View>(previous, node.loopback === undefined ? view : onLoopback(view, node.loopback))
}

/** What comes from outside, and all that it may lead to; its proxies call nobody by themselves. */
function gatewayView(mesh: Mesh, node: ProxyNode, name: string): View {
  const { namespace } = node
  const { listeners, routes } = settledFor(mesh, node, mesh.gateways[`${namespace}/${name}`] ?? { listeners: {}, routes: {} })
  const backends = backendsFor(mesh, node, ownBackends(mesh, namespace))
  const endpoints = endpointsFor(mesh, node)
  const telemetry = telemetryOf(mesh, node)
  const inside = insideTls(mesh.inside[`${namespace}/${name}`] ?? {}, backends, endpoints)
  return {
    listeners: withTelemetry(listeners, telemetry),
    routes,
    backends: { ...backends, ...inside.backends, ...keyBackends(listeners), ...tracingBackends(telemetry) },
    endpoints: { ...endpoints, ...inside.endpoints },
    dns: [],
    trust: mesh.trust,
  }
}

/** Backends of their own for what is reached by TLS inside that of the mesh; what cannot be reached so has no endpoints. */
function insideTls(
  all: Mesh['inside'][string],
  backends: View['backends'],
  endpoints: View['endpoints'],
): Pick<View, 'backends' | 'endpoints'> {
  const made = Object.entries(all).flatMap(([key, tls]) => {
    const [backend, set] = [backends[key], endpoints[key]]
    if (backend === undefined || set === undefined) return []
    const name = inTls(key)
    const protocol = backend.protocol === 'http2' ? 'http2' : ('http1' as const)
    const own: Backend = { ...backend, name, protocol, isTlsInside: true, ...(tls === 'refused' ? {} : { tls }) }
    return [{ own, set: { backend: name, endpoints: tls === 'refused' ? [] : set.endpoints } }]
  })
  return {
    backends: Object.fromEntries(made.map(({ own }) => [own.name, own])),
    endpoints: Object.fromEntries(made.map(({ set }) => [set.backend, set])),
  }
}

function sharedBy(mesh: Mesh, node: ProxyNode, telemetry: Telemetry | undefined): Shared {
  const { namespace } = node
  const known = shared.get(mesh) ?? new Map<string, Shared>()
  shared.set(mesh, known)
  const egress = egressOf(mesh, node)
  const key = [JSON.stringify(egress ?? ''), JSON.stringify(telemetry ?? ''), namespace, classOf(mesh, node)].join('\n')
  const before = known.get(key)
  if (before) return before
  const { listeners, routes } = settledFor(mesh, node, outboundFor(mesh, node))
  const ways = withWayOut(mesh, listeners, routes, egress)
  const made: Shared = {
    listeners: withTelemetry(ways.listeners, telemetry),
    routes: ways.routes,
    backends: { ...backendsFor(mesh, node, { ...ownBackends(mesh, namespace), ...ways.backends }), ...tracingBackends(telemetry) },
    dns: namesFor(mesh, namespace),
  }
  known.set(key, made)
  return made
}

/** Each once; what a namespace calls shortly goes before what others are called in whole, as search lists have it. */
function namesFor({ dns: { qualified, short } }: Mesh, namespace: string): View['dns'] {
  const own = short[namespace] ?? []
  const dotted = new Set(own.flatMap(({ name }) => (name.includes('.') ? [name] : [])))
  return [...(dotted.size === 0 ? qualified : qualified.filter(({ name }) => !dotted.has(name))), ...own].sort(byName)
}

/** Without those of which the certificate is for others: what leads to them leads nowhere. */
function ownBackends({ backends, owned }: Mesh, namespace: string): View['backends'] {
  const others = new Set(Object.entries(owned).flatMap(([name, owner]) => (owner === namespace ? [] : [name])))
  return others.size === 0 ? backends : Object.fromEntries(Object.entries(backends).filter(([name]) => !others.has(name)))
}

/** What is the same for all proxies of one place, made once for each mesh. */
const byPlace = new WeakMap<Mesh, Map<string, View['endpoints']>>()

/** The endpoints as they are seen from where the proxy runs: the whole of a view that changes when only endpoints of the mesh do. */
export function endpointsFor(mesh: Mesh, node: Client & Pick<ProxyNode, 'locality'>): View['endpoints'] {
  const { locality } = node
  if (locality === undefined) return mesh.endpoints
  const near = nearFor(mesh, node)
  const preferring = Object.entries(near)
  if (preferring.length === 0) return mesh.endpoints
  const known = byPlace.get(mesh) ?? new Map<string, View['endpoints']>()
  byPlace.set(mesh, known)
  const key = JSON.stringify([locality.region, locality.zone, locality.host, near === mesh.near ? '' : classOf(mesh, node)])
  let found = known.get(key)
  if (found === undefined) {
    found = {
      ...mesh.endpoints,
      ...Object.fromEntries(preferring.map(([name, each]) => [name, byNearness(mesh.endpoints[name]!, each, locality)])),
    }
    known.set(key, found)
  }
  return found
}

type TakenIn = { readonly listener: Listener; readonly table: RouteTable | undefined; readonly backend: Backend }

/** The way from the mesh to one port of the workload: `inbound/PORT` leads to `local/PORT`, with `/udp` behind both for UDP. */
function takeIn(mesh: Mesh, node: ProxyNode, port: WorkloadPort, bind: { readonly host: string; readonly port: number }): TakenIn {
  const protocol = spokenAt(mesh, node, port)
  const place = portName(port.port, protocol)
  const name = `inbound/${place}`
  const backends = [{ backend: `local/${place}`, weight: 1 }]
  const service = `${node.service}.${node.namespace}`
  // Datagrams come by other proxies only.
  const mode = protocol === 'udp' ? 'strict' : takenAt(mesh, node, port)
  const access = accessAt(mesh, node, port, protocol === 'udp', protocol !== 'udp' && modeAt(mesh, node, port) === 'disabled')
  const tokens = isHttp(protocol) ? tokensAt(mesh, node, port) : undefined
  const authorizer = protocol === 'udp' ? undefined : authorizerAt(mesh, node, port)
  const asked: Pick<Route, 'tokens' | 'access' | 'authorize'> = {
    ...(tokens === undefined ? {} : { tokens: tokens.name }),
    ...(access === undefined ? {} : { access: access.http }),
    ...(authorizer === undefined ? {} : { authorize: [authorizer.name] }),
  }
  const routes = isHttp(protocol) ? routesTo(mesh, node, port, backends, asked) : []
  return {
    listener: {
      name,
      direction: 'inbound',
      ...bind,
      protocol,
      ...(mode === 'disabled' ? {} : { tls: { mode, ...(mesh.profile === undefined ? {} : { profile: mesh.profile }) } }),
      ...(isHttp(protocol) ? { routes: name } : {}),
      ...(isOpaque(protocol) ? { backends } : {}),
      service,
      ...(isHttp(protocol) ? concurrencyAt(mesh, node, port) : {}),
      ...limitsOfListener(mesh, node, port, protocol, routes),
      ...(tokens === undefined ? {} : { tokens: [tokens] }),
      ...(authorizer === undefined || !isHttp(protocol) ? {} : { authorizers: [authorizer] }),
      ...(isOpaque(protocol) && authorizer?.ask.type === 'grpc' ? { connectionAuthorizer: ofConnections(authorizer) } : {}),
      ...(isOpaque(protocol) ? opaqueAccess(access?.opaque, tokens?.isRequired === true || isBlind(protocol, authorizer)) : {}),
      ...(access === undefined || !isHttp(protocol) || mesh.tellsWhy.length === 0 ? {} : { tellsWhy: mesh.tellsWhy }),
    },
    table: isHttp(protocol)
      ? {
          name,
          hosts: [
            {
              name: '*',
              domains: ['*'],
              routes,
            },
          ],
        }
      : undefined,
    backend: {
      name: `local/${place}`,
      service,
      type: 'local',
      port: port.port,
      protocol: backendProtocol(protocol),
      balance: 'round-robin',
      connectTimeoutMs: 5000,
      identities: [],
      ...headerFor(mesh, node, port),
    },
  }
}

function concurrencyAt(mesh: Mesh, node: ProxyNode, port: WorkloadPort): Pick<Listener, 'concurrency'> {
  const found = (mesh.concurrency[node.namespace] ?? []).find(
    each => selects(each.selector, node) && portOf(node, each.target)?.port === port.port,
  )
  return found === undefined ? {} : { concurrency: found.concurrency }
}

/** Where requests are judged by more than rules, bytes that are not taken for requests are not: else to look like something else would be a way past it. */
const opaqueAccess = (access: Access | undefined, isShut: boolean): Pick<Listener, 'access'> =>
  isShut ? { access: { deny: access?.deny ?? [], allow: [] } } : access === undefined ? {} : { access }

/** Of requests somebody is asked who cannot be asked of connections. */
const isBlind = (protocol: Protocol, authorizer: Authorizer | undefined): boolean => isHttp(protocol) && authorizer?.ask.type === 'http'

/** All of them are asked about, and nothing is shown but who calls whom. */
const ofConnections = ({ name, backend, timeoutMs, failsOpen }: Authorizer): Authorizer => ({
  name,
  backend,
  timeoutMs,
  failsOpen,
  ask: { type: 'grpc' },
})

/** Who is asked about calls is not asked about the calls by which he is. */
function authorizerAt(mesh: Mesh, node: ProxyNode, port: WorkloadPort): Authorizer | undefined {
  const found = (mesh.authorizers[node.namespace] ?? []).find(
    ({ selector, target }) =>
      (selector === undefined || selects(selector, node)) && (target === undefined || portOf(node, target)?.port === port.port),
  )
  if (found?.provider === undefined) return found?.authorizer
  const { namespace, selector, target } = found.provider
  const isIt = namespace === node.namespace && selects(selector, node) && portOf(node, target)?.port === port.port
  return isIt ? undefined : found.authorizer
}

const tokensAt = (mesh: Mesh, node: ProxyNode, port: WorkloadPort): TokenPolicy | undefined =>
  (mesh.tokens[node.namespace] ?? []).find(
    ({ selector, target }) =>
      (selector === undefined || selects(selector, node)) && (target === undefined || portOf(node, target)?.port === port.port),
  )?.policy

const limitedAt = (mesh: Mesh, node: ProxyNode, port: WorkloadPort): readonly Limited[] =>
  (mesh.rateLimits[node.namespace] ?? []).filter(each => selects(each.selector, node) && portOf(node, each.target)?.port === port.port)

/** For what comes by no route that has limits of its own. */
function limitsAt(mesh: Mesh, node: ProxyNode, port: WorkloadPort): Limits | undefined {
  const place = (mesh.placeLimits[node.namespace] ?? []).find(each => each.selector === undefined || selects(each.selector, node))
  return (limitedAt(mesh, node, port).find(each => each.limits !== undefined) ?? place)?.limits
}

const ofRequests = ({ rateLimit, quota }: Limits = {}): Pick<Route, 'rateLimit' | 'quota'> => ({
  ...(rateLimit === undefined ? {} : { rateLimit }),
  ...(quota === undefined ? {} : { quota }),
})

/** What the listener itself must know of limits: of opaque connections, and whom to ask. */
function limitsOfListener(
  mesh: Mesh,
  node: ProxyNode,
  port: WorkloadPort,
  protocol: Protocol,
  routes: readonly Route[],
): Pick<Listener, 'connectionLimit' | 'limitService'> {
  const connectionLimit = isOpaque(protocol) && protocol !== 'udp' ? limitsAt(mesh, node, port)?.connectionLimit : undefined
  return {
    ...(connectionLimit === undefined ? {} : { connectionLimit }),
    ...(routes.some(route => route.quota !== undefined) ? { limitService: mesh.limitService } : {}),
  }
}

const bodiesAt = (mesh: Mesh, node: ProxyNode, port: WorkloadPort): Pick<Route, 'sizes' | 'compression'> =>
  (mesh.bodies[node.namespace] ?? []).find(each => selects(each.selector, node) && portOf(node, each.target)?.port === port.port)?.bodies ??
  {}

/** One for all requests; where limits are kept by route, those routes before it. Of two Services before one port, the limit of the first counts. */
function routesTo(
  mesh: Mesh,
  node: ProxyNode,
  port: WorkloadPort,
  backends: readonly WeightedBackend[],
  asked: Pick<Route, 'tokens' | 'access' | 'authorize'>,
): readonly Route[] {
  const action = { type: 'forward', backends } as const
  const limited = limitedAt(mesh, node, port)
  const whole = limitsAt(mesh, node, port)
  const limit = {
    ...bodiesAt(mesh, node, port),
    ...ofRequests(whole),
    ...asked,
  }
  const routes = limited
    .flatMap(each => each.routes)
    .map(
      ({ limits, ...route }): Route => ({
        ...ofRequests(limits ?? whole),
        ...asked,
        ...route,
        filters: [],
        action,
      }),
    )
  return [
    ...(limited.length > 1 ? inOrder(routes.map(route => ({ route, rank: rankOfRequest(route.match) }))) : routes),
    {
      name: `Workload/${node.namespace}/${node.workload}/${port.port}`,
      origin: `Workload ${node.namespace}/${node.workload} port ${port.port}`,
      match: {},
      filters: [],
      action,
      ...limit,
    },
  ]
}

/** What the workload says; where it says nothing, what the Services say that select it, if they agree: so a server that speaks first is not waited for. */
function spokenAt(mesh: Mesh, node: ProxyNode, port: WorkloadPort): Protocol {
  if (port.protocol !== 'detect') return port.protocol
  const said = new Set(declaredOf(mesh, node, port).flatMap(each => (each.protocol === 'detect' ? [] : [each.protocol])))
  return said.size === 1 ? [...said][0]! : 'detect'
}

/** Where one Service wants version 1 and another version 2, it is 2: whoever reads that reads both. */
function headerFor(mesh: Mesh, node: ProxyNode, port: WorkloadPort): Pick<Backend, 'proxyProtocol'> {
  const said = port.protocol === 'udp' ? [] : declaredOf(mesh, node, port).flatMap(each => each.proxyProtocol ?? [])
  return said.length === 0 ? {} : { proxyProtocol: said.includes('v2') ? 'v2' : 'v1' }
}

const declaredOf = (mesh: Mesh, node: ProxyNode, port: WorkloadPort): Mesh['declared'][string] =>
  (mesh.declared[node.namespace] ?? []).filter(each => selects(each.selector, node) && portOf(node, each.target)?.port === port.port)
