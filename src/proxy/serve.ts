/**
 * The life of a request, one page.
 *
 *   request ─▶ route ─▶ permit ─▶ backend ─▶ endpoint ─▶ connection ─▶ relay ─▶ answer
 *      each step may throw a Failure; the one catch turns it into the answer
 */

import { Failure } from '#base/failure'
import { leastRequest, roundRobin, usable } from '#model/balance'
import { chooseRoute, pickWeighted } from '#model/match'
import { changeFields, locationOf, rewrite } from '#model/rewrite'
import type { Backend, Endpoint, EndpointSet, Filter, Route, View, WeightedBackend } from '#model/view'
import { type Fields, forwardable, type RequestHead, type ResponseHead, withField } from '#wire/http1'
import { answer, answerRedirect } from './answer.ts'
import type { Exchange } from './exchange.ts'
import { answered, forwarded } from './forwarding.ts'
import { limitOf } from './limit.ts'
import type { Pools } from './pool.ts'
import type { Upstream } from './upstream.ts'

/** How many endpoints are tried when a connection cannot be made or a kept one turns out closed. */
const maxTries = 4

export async function serve(exchange: Exchange, pools: Pools): Promise<void> {
  const view = exchange.entry.view()
  try {
    const route = routeOf(exchange, view)
    const permitted = permit(exchange, route)
    if (permitted.action.type === 'redirect')
      return answerRedirect(exchange, locationOf(permitted.action.redirect, facts(exchange, permitted)), permitted.action.redirect.status)
    const share = backendOf(permitted, view)
    await forward(exchange, permitted, share, pools)
  } catch (thrown) {
    if (!(thrown instanceof Failure)) throw thrown
    answer(exchange, thrown)
  }
}

function routeOf(exchange: Exchange, view: View): Route {
  const table = view.routes[exchange.entry.listener.routes ?? '']
  if (table === undefined) throw new Failure('not-ready', `no routes yet for ${exchange.entry.listener.name}`)
  const route = chooseRoute(table, exchange)
  if (route === undefined) throw new Failure('no-route', `${exchange.method} ${exchange.path} at ${exchange.entry.listener.service}`)
  exchange.route = route
  return route
}

declare const seal: unique symbol
/** Policy admitted this request. Only `permit` makes one, so an unchecked request cannot be sent. */
type Permitted = Route & { readonly [seal]: true }

/** Inbound ports of the mesh take callers with a proven identity only; what a rule answers itself is answered here. */
function permit(exchange: Exchange, route: Route): Permitted {
  const { listener, peer } = exchange.entry
  if (listener.direction === 'inbound' && listener.tls?.mode === 'strict' && peer === undefined)
    throw new Failure('identity-required', listener.name)
  if (route.action.type === 'respond') throw new Failure(route.action.reason, route.action.detail)
  return route as Permitted
}

/** A backend with the endpoints that may serve now; `endpoints` is undefined for the workload behind this proxy. */
type Share = { readonly backend: Backend; readonly endpoints: readonly Endpoint[] | undefined; readonly filters: readonly Filter[] }

function backendOf(route: Permitted, view: View): Share {
  if (route.action.type !== 'forward') throw new Failure('rule-invalid', route.origin)
  const picked = pickWeighted(route.action.backends, Math.random())
  if (picked === undefined) throw new Failure('backend-invalid', `${route.origin}: no backend has a weight above 0`)
  return shareOf(picked, view, route.origin)
}

export function shareOf(picked: WeightedBackend, view: View, origin: string): Share {
  const backend = picked.backend === undefined ? undefined : view.backends[picked.backend]
  if (backend === undefined) throw new Failure('backend-invalid', origin)
  const endpoints = backend.type === 'local' ? undefined : usableOf(view.endpoints[backend.name])
  return { backend, endpoints, filters: picked.filters ?? [] }
}

const usableBySet = new WeakMap<EndpointSet, readonly Endpoint[]>()

/** Found once for each set that the control plane sent: a large one would cost every request a walk. */
function usableOf(set: EndpointSet | undefined): readonly Endpoint[] {
  if (set === undefined) return []
  let found = usableBySet.get(set)
  if (found === undefined) usableBySet.set(set, (found = usable(set.endpoints)))
  return found
}

/** Sends the request to one endpoint after another while nothing of it was taken and trying again is safe. */
async function forward(exchange: Exchange, route: Permitted, share: Share, pools: Pools): Promise<void> {
  const head = requestHead(exchange, route, share)
  const edit = responseEditor(route, share)
  let tried: readonly Endpoint[] = []
  let broken: Broken = 'none'
  for (let attempt = 1; ; attempt++) {
    const endpoint = pickEndpoint(share, pools, tried)
    const pool = pools.of(share.backend, endpoint)
    exchange.service = share.backend.service
    exchange.workload = endpoint?.workload ?? ''
    const limit = limitOf(route, exchange.startedAt, attempt === 1 ? exchange.startedAt : performance.now())
    pool.inFlight++
    let upstream: Upstream | undefined
    const alone = pools.alone(share.backend, endpoint, exchange.isHttp1, exchange.entry.ends)
    try {
      // Where one connection broke the others that are kept may be broken too.
      const lane = alone ?? (exchange.isHttp1 ? pool.http1 : pool.http2)
      if (broken === 'none') upstream = lane.take()
      if (upstream === undefined) {
        const opening = lane.open()
        upstream = await (limit === undefined ? opening : limit.opened(opening))
      }
      exchange.identity = upstream.identity
      if (exchange.isGone) return upstream.close()
      limit?.relayedBy(upstream)
      return await upstream.relay(exchange, head, edit)
    } catch (thrown) {
      if (!(thrown instanceof Failure) || attempt >= maxTries || !mayTryAgain(thrown, exchange, upstream, broken)) throw thrown
      if (thrown.fate === 'reused') broken = upstream?.isReused === true ? 'kept' : 'fresh'
      if (endpoint !== undefined) tried = [...tried, endpoint]
    } finally {
      limit?.stop()
      alone?.close()
      pool.inFlight--
    }
  }
}

const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** Which connection broke before it answered this request, if any. */
type Broken = 'none' | 'kept' | 'fresh'

/**
 * Again if nothing was sent (also where the time of a try went by before there was a connection); and, for methods that may be repeated
 * (RFC 9110 §9.2.2), if the connection broke before a byte of the answer: a kept one may have been closed just then (RFC 9112 §9.3.1), with
 * a fresh one its peer may have died. That counts once: it may be this request that kills its peers.
 */
function mayTryAgain(failure: Failure, exchange: Exchange, upstream: Upstream | undefined, broken: Broken): boolean {
  if (exchange.isGone || exchange.isBodySpent) return false
  if (failure.fate === 'safe' || (failure.code === 'upstream-timeout' && upstream === undefined)) return true
  if (failure.fate !== 'reused' || upstream === undefined || upstream.isAnswered || !idempotent.has(exchange.method)) return false
  return upstream.isReused || broken !== 'fresh'
}

let turn = 0

export function pickEndpoint({ backend, endpoints }: Share, pools: Pools, tried: readonly Endpoint[] = []): Endpoint | undefined {
  if (endpoints === undefined) return undefined
  const untried = tried.length === 0 ? endpoints : endpoints.filter(endpoint => !tried.includes(endpoint))
  const choice = untried.length > 0 ? untried : endpoints
  const endpoint = backend.balance === 'round-robin' ? roundRobin(choice, turn++) : leastRequest(choice, pools.load(backend), Math.random)
  if (endpoint === undefined) throw new Failure('no-endpoint', backend.name)
  return endpoint
}

/** The head that goes out: hop-by-hop fields dropped, the target in origin-form, the route's changes made. */
function requestHead(exchange: Exchange, route: Route, share: Share): RequestHead {
  let fields: Fields = forwarded(forwardable(exchange.head.fields), exchange.entry)
  let target = exchange.head.target
  if (target.charCodeAt(0) !== 47 && exchange.path !== '*') {
    // RFC 9112 §3.2.2: the authority of an absolute target replaces what Host says.
    target = exchange.path + (exchange.search === '' ? '' : `?${exchange.search}`)
    fields = withField(fields, 'Host', exchange.host)
  }
  const filters = share.filters.length > 0 ? [...route.filters, ...share.filters] : route.filters
  if (filters.length > 0) {
    for (const filter of filters) if (filter.type === 'request-headers') fields = changeFields(fields, filter.change)
    const changed = rewrite(filters, route.match.path, exchange.host, exchange.path)
    if (changed.host !== exchange.host) fields = changeFields(fields, { set: [{ name: 'host', value: changed.host }], add: [], remove: [] })
    if (changed.path !== exchange.path) target = changed.path + (exchange.search === '' ? '' : `?${exchange.search}`)
  }
  return { method: exchange.head.method, target, minor: 1, fields }
}

const asIs = (head: ResponseHead): ResponseHead => ({
  status: head.status,
  reason: head.reason,
  minor: 1,
  fields: forwardable(head.fields),
})

const ofWorkload = (head: ResponseHead): ResponseHead => {
  const passed = asIs(head)
  return { ...passed, fields: answered(passed.fields) }
}

function responseEditor(route: Route, share: Share): (head: ResponseHead) => ResponseHead {
  const plain = share.endpoints === undefined ? ofWorkload : asIs
  if (route.filters.length === 0 && share.filters.length === 0) return plain
  const changes = [...route.filters, ...share.filters].flatMap(filter => (filter.type === 'response-headers' ? [filter.change] : []))
  if (changes.length === 0) return plain
  return head => {
    const passed = plain(head)
    return { ...passed, fields: changes.reduce<readonly string[]>(changeFields, passed.fields) }
  }
}

const facts = (exchange: Exchange, route: Route) => ({
  scheme: 'http',
  host: exchange.host,
  path: exchange.path,
  search: exchange.search,
  match: route.match.path,
})
