/**
 * The life of a request, one page.
 *
 *   request ─▶ route ─▶ permit ─▶ backend ─▶ endpoint ─▶ connection ─▶ relay ─▶ answer
 *      each step may throw a Failure; the one catch turns it into the answer
 *
 * The last four are delivery.ts, for they may have to be tried again. Where the route asks for it there is more:
 * a login and a token before permit, CORS, services that are asked whether it may go on, rate limit, quota, concurrency limit, fault, and copies.
 */

import { Failure } from '#base/failure'
import type { Access } from '#model/access-rule'
import { claimHeadersOf } from '#model/claim-routes'
import type { Fault } from '#model/fault'
import type { Listener } from '#model/listener'
import { hostOf, pickWeighted } from '#model/match'
import type { Quota } from '#model/rate-limit'
import { locationOf, longestTarget } from '#model/rewrite'
import type { Route, RouteTable } from '#model/route'
import { isPlain, spellAtEdge } from '#model/spelling'
import { accessFor, noTunnelHere, routeAt } from '#model/tunnel'
import type { View } from '#model/view'
import { namesHttp } from '#wire/http1'
import { Affinity } from '../endpoints/affinity.ts'
import { answer, answerAsConfigured, answerRedirect } from './answer.ts'
import { Delivery } from './delivery.ts'
import type { Gate } from '../access/access.ts'
import type { Authorizations } from '../access/authorize.ts'
import type { Exit } from '../exit.ts'
import type { Concurrency } from '../endpoints/concurrency.ts'
import { code } from './compress.ts'
import { connectUdp } from '../callers/caller-udp.ts'
import { answeredPreflight } from './cors.ts'
import type { Exchange } from './exchange.ts'
import { hitBy, inject } from './fault.ts'
import { Hedge, mayHedge } from './hedge.ts'
import type { Meter } from '../telemetry/meter.ts'
import type { Mirrors } from './mirror.ts'
import type { Pools } from '../upstreams/pool.ts'
import type { Quotas } from './quota.ts'
import type { Limiter } from './rate-limit.ts'
import { type Proving, askForProof } from '../access/proof.ts'
import { bound } from './sizes.ts'
import { type Share, shareOf } from '../endpoints/share.ts'

/** What a proxy serves with. */
export type Means = Proving & {
  readonly pools: Pools
  readonly gate: Gate
  readonly authorizations: Authorizations
  readonly exit: Exit
  readonly limiter: Limiter
  readonly quotas: Quotas
  readonly concurrency: Concurrency
  readonly mirrors: Mirrors
  readonly meter: Meter
}

/** onBug: told what is no Failure, now or later. */
export function serve(exchange: Exchange, means: Means, onBug: (bug: unknown) => void): void {
  const view = exchange.entry.view()
  try {
    const route = routeOf(exchange, view)
    if (route.tokens !== undefined || route.login !== undefined) return prove(exchange, route, view, means, onBug)
    go(exchange, route, view, means, onBug)
  } catch (thrown) {
    if (thrown instanceof Failure) answer(exchange, thrown)
    else onBug(thrown)
  }
}

/** It goes on when it is proved whose it is. Preflights never prove anything (Fetch standard, CORS-preflight fetch), and reach nobody. */
function prove(exchange: Exchange, route: Route, view: View, means: Means, onBug: (bug: unknown) => void): void {
  requireIdentity(exchange)
  if (route.cors !== undefined && answeredPreflight(exchange, route.cors)) return
  const choose = (): Route => routeOf(exchange, view)
  askForProof(exchange, route, view, means, choose, chosen => go(exchange, chosen, view, means, onBug), onBug)
}

function go(exchange: Exchange, route: Route, view: View, means: Means, onBug: (bug: unknown) => void): void {
  try {
    const permitted = permit(exchange, route, means)
    if (exchange.entry.listener.direction === 'inbound') means.meter.called(exchange)
    if (permitted.cors !== undefined && answeredPreflight(exchange, permitted.cors)) return
    if (permitted.sizes !== undefined) bound(exchange, permitted.sizes)
    if (permitted.authorize !== undefined) return askWhether(exchange, permitted, permitted.authorize, view, means, onBug)
    authorized(exchange, permitted, view, means, onBug)
  } catch (thrown) {
    if (thrown instanceof Failure) answer(exchange, thrown)
    else onBug(thrown)
  }
}

/** It goes on when all services that are asked about it let it. */
function askWhether(
  exchange: Exchange,
  permitted: Permitted,
  names: readonly string[],
  view: View,
  means: Means,
  onBug: (bug: unknown) => void,
): void {
  const goOn = (): void => authorized(exchange, permitted, view, means, onBug)
  means.authorizations.ask(exchange, names, view, goOn, failure => answer(exchange, failure))
}

function authorized(exchange: Exchange, permitted: Permitted, view: View, means: Means, onBug: (bug: unknown) => void): void {
  try {
    if (permitted.rateLimit !== undefined) means.limiter.admit(exchange, permitted.rateLimit, exchange.startedAt)
    if (permitted.quota !== undefined) return askFor(exchange, permitted, permitted.quota, view, means, onBug)
    admitted(exchange, permitted, view, means, onBug)
  } catch (thrown) {
    if (thrown instanceof Failure) answer(exchange, thrown)
    else onBug(thrown)
  }
}

/** Within its limits. */
function admitted(exchange: Exchange, permitted: Permitted, view: View, means: Means, onBug: (bug: unknown) => void): void {
  if (means.concurrency.isInUse) means.concurrency.admit(exchange, performance.now())
  if (permitted.fault !== undefined && hit(exchange, permitted, permitted.fault, view, means, onBug)) return
  act(exchange, permitted, view, means, onBug)
}

/** It goes on when the service that counts for all proxies lets it. */
function askFor(exchange: Exchange, permitted: Permitted, quota: Quota, view: View, means: Means, onBug: (bug: unknown) => void): void {
  const refuse = (failure: Failure): void => answer(exchange, failure)
  const goOn = (): void => {
    try {
      admitted(exchange, permitted, view, means, onBug)
    } catch (thrown) {
      if (thrown instanceof Failure) refuse(thrown)
      else onBug(thrown)
    }
  }
  means.quotas.ask(exchange, quota, view, goOn, refuse)
}

function act(exchange: Exchange, permitted: Permitted, view: View, means: Means, onBug: (bug: unknown) => void): void {
  if (permitted.compression !== undefined) code(exchange, permitted.compression, means.meter.coded)
  if (permitted.action.type === 'redirect') {
    const location = locationOf(permitted.action.redirect, facts(exchange, permitted))
    if (location.length > longestTarget) throw new Failure('uri-too-long', `${permitted.origin} makes a Location of it that is too long`)
    return answerRedirect(exchange, permitted, location, permitted.action.redirect.status)
  }
  if (permitted.action.type === 'respond') return answerAsConfigured(exchange, permitted, permitted.action.status, permitted.action.detail)
  const { pools } = means
  const share = backendOf(exchange, permitted, view, means)
  if (permitted.mirrors !== undefined) means.mirrors.copy(exchange, permitted, permitted.mirrors, view)
  if (permitted.hedge !== undefined && share.endpoints !== undefined && mayHedge(exchange, permitted.hedge))
    return new Hedge(exchange, permitted, permitted.hedge, share, pools, onBug).begin()
  new Delivery(exchange, permitted, share, pools, onBug).begin()
}

/** False where the request is spared; else it is answered or goes on from there. */
function hit(exchange: Exchange, permitted: Permitted, fault: Fault, view: View, means: Means, onBug: (bug: unknown) => void): boolean {
  const found = hitBy(fault, Math.random, Date.now())
  if (found === undefined) return false
  if (found.delayMs > 0) means.meter.fault(fault.policy, permitted.origin, 'delay')
  if (found.line !== undefined) means.meter.fault(fault.policy, permitted.origin, 'bandwidth')
  if (found.abort !== undefined) means.meter.fault(fault.policy, permitted.origin, found.abort.type)
  inject(exchange, permitted, fault, found, () => {
    try {
      act(exchange, permitted, view, means, onBug)
    } catch (thrown) {
      if (thrown instanceof Failure) answer(exchange, thrown)
      else onBug(thrown)
    }
  })
  return true
}

/** Which route a request takes by a view; throws where there is none. */
export function routeOf(exchange: Exchange, view: View): Route {
  const isDatagrams = exchange.upgrade?.toLowerCase() === connectUdp
  // In it requests would pass that nobody judges, or a workload would take the proxy's word for whose they are.
  if (exchange.upgrade !== undefined && namesHttp(exchange.upgrade))
    throw new Failure('not-implemented', `a tunnel of ${exchange.upgrade}: HTTP and TLS are not upgraded to (RFC 9113 §3.1)`)
  if (isDatagrams || exchange.entry.listener.protocol === 'udp') return (exchange.route = routeOfDatagrams(exchange, view, isDatagrams))
  const table = view.routes[exchange.entry.listener.routes ?? '']
  // A port that the Gateway does not have any more, on a connection of before.
  if (table === undefined && exchange.entry.listener.direction === 'gateway') throw new Failure('no-route', exchange.entry.listener.name)
  if (table === undefined) throw new Failure('not-ready', `no routes yet for ${exchange.entry.listener.name}`)
  const { listener } = exchange.entry
  if (listener.tokens !== undefined || listener.logins !== undefined) hideClaims(exchange, view, table)
  if (listener.direction === 'gateway' && !isPlain(exchange.path)) spell(exchange, table)
  const route = routeAt(listener.direction, table, exchange)
  if (route === undefined && exchange.method === 'CONNECT' && listener.direction === 'gateway') {
    // RFC 9110 §15.5.6: it says which methods are allowed; of what CONNECT names, none.
    exchange.changeAnswer({ set: [{ name: 'Allow', value: '' }], add: [], remove: [] })
    throw new Failure('tunnel-refused', noTunnelHere)
  }
  if (route === undefined) throw new Failure('no-route', `${exchange.method} ${exchange.path} at ${exchange.entry.listener.service}`)
  exchange.route = route
  return route
}

/** From outside it may be spelled in any way, and goes on as its route was chosen. */
function spell(exchange: Exchange, table: RouteTable): void {
  const spelled = spellAtEdge(exchange, request => routeAt('gateway', table, request))
  if ('why' in spelled) throw new Failure('bad-request', spelled.why)
  if (spelled.path !== exchange.path) exchange.path = exchange.judgedPath = spelled.path
}

/** Headers that are written from claims say nothing of a request until those are verified. */
function hideClaims(exchange: Exchange, view: View, table: RouteTable): void {
  if (exchange.claimHeaders !== undefined) return
  const host = hostOf(table, exchange.host)
  const names = host === undefined ? [] : claimHeadersOf(host, view.listeners[exchange.entry.listener.name] ?? exchange.entry.listener)
  if (names.length > 0) exchange.claimHeaders = new Map(names.map(name => [name, undefined]))
}

/** Whatever target it names (RFC 9298 §3.4): the port that it came to is the one that it leads to. */
function routeOfDatagrams({ entry, isHttp1 }: Exchange, view: View, isDatagrams: boolean): Route {
  if (entry.listener.protocol !== 'udp') throw new Failure('not-implemented', `${connectUdp} at a port that takes no datagrams`)
  if (!isDatagrams || isHttp1)
    throw new Failure('not-implemented', `this port takes datagrams, by ${connectUdp} over HTTP/2 only (RFC 9298)`)
  const listener = view.listeners[entry.listener.name] ?? entry.listener
  let route = datagramRoutes.get(listener)
  if (route === undefined) datagramRoutes.set(listener, (route = forwardTo(listener)))
  return route
}

const datagramRoutes = new WeakMap<Listener, Route>()

const forwardTo = ({ name, backends, hash, access, egress }: Listener): Route => ({
  name,
  origin: name,
  match: {},
  filters: [],
  action: { type: 'forward', backends: backends ?? [], ...(hash === undefined ? {} : { hash: [{ type: hash }] }) },
  ...(access === undefined ? {} : { access }),
  ...(egress === undefined ? {} : { egress }),
})

/** What judges a CONNECT that takes this route. */
export const accessOfTunnel = ({ entry: { listener }, method }: Exchange, route: Route, view: View): Access | undefined =>
  accessFor(view.listeners[listener.name] ?? listener, route, method)

declare const seal: unique symbol
/** Policy admitted this request. Only `permit` makes one, so an unchecked request cannot be sent. */
type Permitted = Route & { readonly [seal]: true }

function requireIdentity({ entry: { listener, peer } }: Exchange): void {
  // Datagrams come from proxies of the mesh or not at all.
  if (listener.direction === 'inbound' && (listener.tls?.mode === 'strict' || listener.protocol === 'udp') && peer === undefined)
    throw new Failure('identity-required', listener.name)
}

/** Inbound ports of the mesh take callers with a proven identity only; what a rule answers itself is answered here. */
function permit(exchange: Exchange, route: Route, { gate, exit }: Means): Permitted {
  requireIdentity(exchange)
  const access = exchange.method === 'CONNECT' ? accessOfTunnel(exchange, route, exchange.entry.view()) : route.access
  if (access !== undefined) gate.admit(exchange, access)
  if (route.egress !== undefined) exit.admit(exchange, route.egress)
  if (route.action.type === 'respond' && route.action.reason !== undefined) throw new Failure(route.action.reason, route.action.detail)
  return route as Permitted
}

function backendOf(exchange: Exchange, route: Permitted, view: View, { pools, exit }: Means): Share {
  if (route.action.type !== 'forward') throw new Failure('rule-invalid', route.origin)
  const { backends, hash, session } = route.action
  const affinity = hash === undefined && session === undefined ? undefined : new Affinity(exchange, route.action)
  const picked = affinity === undefined ? pickWeighted(backends, Math.random()) : affinity.backendOf(backends, view, pools)
  if (picked === undefined) throw new Failure('backend-invalid', `${route.origin}: no backend has a weight above 0`)
  const share = shareOf(picked, view, route.origin, pools, affinity, affinity?.key, exit, exchange.entry, exchange.host)
  const { name, protocol } = share.backend
  const isDatagrams = exchange.entry.listener.protocol === 'udp'
  if (isDatagrams ? protocol !== 'udp' && protocol !== 'http2' : protocol === 'udp')
    throw new Failure(
      'backend-invalid',
      `${name} speaks ${protocol}: datagrams, and nothing else, go to backends of udp, or in a tunnel of HTTP/2`,
    )
  return share
}

const facts = (exchange: Exchange, route: Route) => ({
  scheme: exchange.entry.isSecure ? 'https' : 'http',
  // The port of a redirect is that of the listener, whatever the caller says (Gateway API HTTPRequestRedirectFilter.port).
  host:
    exchange.entry.listener.direction === 'gateway'
      ? `${exchange.host.replace(/:\d*$/, '')}:${exchange.entry.listener.port}`
      : exchange.host,
  path: exchange.path,
  search: exchange.search,
  match: route.match.path,
})
