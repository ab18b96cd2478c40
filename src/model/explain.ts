/**
 * What would become of a request, told without sending it: the same listener, match, split and choice of endpoints that the proxies make of their views.
 *
 *   name ─▶ address ─▶ listener ─▶ rules in their order ─▶ shares ─▶ endpoints ─▶ the called proxy ─▶ its workload
 *
 * What only a proxy knows at its moment (connections that fail, limits that are used up) is not in a view, and not told.
 */

import { Failure, type FailureCode } from '#base/failure'
import { arrive, askedFor, loginAskedFor, type WayIn } from './explain/arrive.ts'
import { type EndpointTold, tellEndpoints } from './explain/endpoints.ts'
import { enter, isEdge, type TlsTold } from './explain/enter.ts'
import { helperOf } from './explain/helper.ts'
import type { Known, KnownOf, Question } from './explain/question.ts'
import { type RuleTold, tellRules } from './explain/rules.ts'
import type { Backend } from './backend.ts'
import { noTunnelHere, routeAt } from './tunnel.ts'
import { type EgressTold, endpointsOf, judgeRequest, judgeTls, mayBeOutside } from './explain/leave.ts'
import { asChosenBy } from './claim-routes.ts'
import type { Filter } from './filter.ts'
import type { Listener } from './listener.ts'
import { locationOf, rewrite } from './rewrite.ts'
import type { Route, WeightedBackend } from './route.ts'
import { backendsFor } from './server-name.ts'
import { spellAtEdge } from './spelling.ts'
import type { View } from './view.ts'
import { listenerAt } from './virtual.ts'
import { wayOutAt } from './way-out.ts'

export { arrive, type WayIn } from './explain/arrive.ts'
export type { TlsTold } from './explain/enter.ts'
export type { EndpointTold } from './explain/endpoints.ts'
export type { RuleTold } from './explain/rules.ts'
export type { EgressTold } from './explain/leave.ts'
export type { Known, KnownOf, Question } from './explain/question.ts'

/** grpc: the status that a gRPC call gets. */
export type FailureTold = {
  readonly code: FailureCode
  readonly status: number
  readonly grpc: number
  readonly says: string
  readonly hint: string
}

/** part: of all requests that take this rule, 0 to 1. sent: what of the request goes out changed. */
export type ShareTold = {
  readonly part: number
  readonly backend?: Backend
  /** The backend that cannot serve, for which this one stands in. */
  readonly insteadOf?: string
  readonly filters: readonly Filter[]
  readonly sent?: { readonly host: string; readonly path: string }
  readonly endpoints: readonly EndpointTold[]
  readonly failure?: FailureTold
}

/** asHttp: whether its requests are looked at. opaque: where bytes go that turn out not to be HTTP, of a port of which that is found out. */
export type ListenerTold = Listener & { readonly asHttp: boolean }

/** arrives: `partly` where some share or endpoint fails it. answered: by the mesh, as somebody configured. */
export type Explanation = {
  readonly address?: string
  /** What becomes of TLS at a Gateway. */
  readonly tls?: TlsTold
  /** Whether it may leave the mesh, where it does. */
  readonly egress?: EgressTold
  readonly listener?: ListenerTold
  readonly rules?: readonly RuleTold[]
  readonly route?: Route
  readonly shares: readonly ShareTold[]
  readonly opaque?: readonly ShareTold[]
  readonly answered?: { readonly status: number; readonly location?: string; readonly text?: string }
  readonly failure?: FailureTold
  readonly arrives: 'always' | 'partly' | 'never'
}

/** knownOf: what is known of the proxy of a workload, `NAME.NAMESPACE`. */
export function explain(asked: Question, caller: Known, knownOf: KnownOf): Explanation {
  const { view } = caller
  if (isEdge(view)) return explainEntry(asked, caller, knownOf)
  const address = addressOf(view, asked.name)
  const wayOut = address === undefined && mayBeOutside(asked.name) ? wayOutAt(view, asked.port ?? 80) : undefined
  if (wayOut !== undefined) return along({}, wayOut, asked, caller, knownOf)
  if (address === undefined)
    return fails({}, 'no-listener', `the DNS of the mesh does not know the name ${asked.name}: it would be asked outside`)
  const ports = portsAt(view, address)
  const port = asked.port ?? (ports.length === 1 ? ports[0]!.port : 80)
  const transport = asked.transport ?? (ports.some(each => each.port === port && each.protocol !== 'udp') ? 'tcp' : 'udp')
  const listener = listenerAt(view, address, port, transport)
  if (listener === undefined) {
    const there = ports.map(each => (each.protocol === 'udp' ? `${each.port}/udp` : each.port)).join(', ')
    return fails(
      { address },
      'no-listener',
      `${asked.name} has no port ${port}${asked.transport === 'udp' ? ' of UDP' : ''}; it has ${there || 'none'}`,
    )
  }
  return along({ address }, listener, asked, caller, knownOf)
}

/** From outside, at a Gateway: the caller is its proxy. */
function explainEntry(asked: Question, caller: Known, knownOf: KnownOf): Explanation {
  const entered = enter(caller.view, asked)
  if ('failure' in entered) {
    const { listener, failure } = entered
    const so = listener === undefined ? {} : { listener: { ...listener, asHttp: listener.protocol === 'http' } }
    return fails(so, failure.code, failure.detail)
  }
  return along(entered.tls === undefined ? {} : { tls: entered.tls }, entered.met, asked, caller, knownOf)
}

/** What the listener makes of it. */
function along(
  so: Pick<Explanation, 'address' | 'tls'>,
  listener: Listener,
  asked: Question,
  caller: Known,
  knownOf: KnownOf,
): Explanation {
  const { view } = caller
  const table = listener.routes === undefined ? undefined : view.routes[listener.routes]
  const told = { ...so, listener: { ...listener, asHttp: listener.routes !== undefined } }
  const port = asked.port ?? (listener.host === '0.0.0.0' ? 80 : listener.port)
  const sharesOf = (backends: readonly WeightedBackend[], route?: Route) => tellShares(backends, { ...asked, port }, route, caller, knownOf)
  const isTls = asked.serverName !== undefined || asked.isSecure === true
  if (listener.egress !== undefined && (isTls || listener.routes === undefined)) {
    const name = asked.serverName ?? asked.name.toLowerCase()
    const egress = judgeTls(listener, listener.egress, name, port)
    if (!egress.isAllowed) return fails({ ...told, egress }, 'egress-denied', egress.says)
    return arrived({ ...told, egress }, sharesOf(backendsFor(listener, name) ?? []))
  }
  if (listener.routes === undefined) {
    const backends = listener.serverNames === undefined ? (listener.backends ?? []) : backendsFor(listener, asked.serverName)
    if (backends === undefined)
      return fails(
        told,
        'no-route',
        asked.serverName === undefined ? 'the caller names no server (SNI)' : `server name "${asked.serverName}"`,
      )
    return arrived(told, sharesOf(backends))
  }
  const opaque = listener.backends === undefined ? {} : { opaque: sharesOf(listener.backends) }
  if (table === undefined) return fails({ ...told, ...opaque }, 'not-ready', `no routes yet for ${listener.name}`)
  if (listener.direction === 'gateway') {
    const { request } = asked
    const spelled = spellAtEdge(request, each => routeAt('gateway', table, asChosenBy(table, listener, each)))
    if ('why' in spelled) return fails({ ...told, ...opaque }, 'bad-request', spelled.why)
    if (spelled.path !== request.path)
      return along(so, listener, { ...asked, request: { ...request, path: spelled.path } }, caller, knownOf)
  }
  const { rules, route } = tellRules(table, asChosenBy(table, listener, asked.request), listener.direction)
  const tried = { ...told, ...opaque, rules }
  if (route === undefined && listener.direction === 'gateway' && asked.request.method === 'CONNECT')
    return fails(tried, 'tunnel-refused', noTunnelHere)
  if (route === undefined) return fails(tried, 'no-route', `${asked.request.method} ${asked.request.path} at ${listener.service}`)
  const egress = route.egress === undefined ? undefined : judgeRequest(route.egress, asked.request, asked.name, port)
  const login = route.login === undefined ? undefined : loginAskedFor(listener, route.login, asked.request)
  if (login !== undefined) return fails({ ...tried, route }, login.code, login.detail)
  const token = route.tokens === undefined ? undefined : askedFor(listener, route.tokens, asked.request)
  if (token?.failure !== undefined) return fails({ ...tried, route }, token.failure.code, token.failure.detail)
  const taken = { ...tried, route, ...(egress === undefined ? {} : { egress }) }
  if (egress?.isAllowed === false) return fails(taken, 'egress-denied', egress.says)
  const { action } = route
  if (action.type === 'forward') return arrived(taken, sharesOf(action.backends, route))
  if (action.type === 'respond') {
    if (action.reason !== undefined) return fails(taken, action.reason, action.detail)
    return { ...taken, shares: [], answered: { status: action.status, text: action.detail }, arrives: 'never' }
  }
  const { path, search } = asked.request
  // At a Gateway the port of a redirect is that of the listener, whatever the caller says (Gateway API HTTPRequestRedirectFilter.port).
  const host = listener.direction === 'gateway' ? `${asked.request.host.replace(/:\d*$/, '')}:${listener.port}` : asked.request.host
  const location = locationOf(action.redirect, {
    scheme: so.tls === undefined ? 'http' : 'https',
    host,
    path,
    search,
    match: route.match.path,
  })
  return { ...taken, shares: [], answered: { status: action.redirect.status, location }, arrives: 'never' }
}

/** A name of the mesh's DNS, with or without the dot at its end, or an address of the mesh. */
function addressOf({ dns, listeners }: View, name: string): string | undefined {
  const bare = name.toLowerCase().replace(/\.$/, '')
  const isAddress = Object.values(listeners).some(each => each.direction === 'outbound' && each.host === name)
  return isAddress ? name : dns.find(each => each.name === bare)?.addresses[0]
}

const portsAt = ({ listeners }: View, address: string): readonly Listener[] =>
  Object.values(listeners)
    .filter(each => each.direction === 'outbound' && each.host === address)
    .sort((one, other) => one.port - other.port)

function tellShares(
  backends: readonly WeightedBackend[],
  { request, port = 80 }: Question,
  route: Route | undefined,
  { view, identity }: Known,
  knownOf: KnownOf,
): readonly ShareTold[] {
  const sum = backends.reduce((total, { weight }) => total + weight, 0)
  return backends.map(({ backend: name, weight, filters = [] }): ShareTold => {
    const part = sum === 0 ? 0 : weight / sum
    const own = name === undefined ? undefined : view.backends[name]
    if (own === undefined) return { part, filters, endpoints: [], failure: told('backend-invalid', route?.origin ?? name ?? '') }
    const backend = own.fallback === undefined ? own : helperOf(own, view)
    const sent = rewrite([...(route?.filters ?? []), ...filters], route?.match.path, request.host, request.path, request)
    const changed = sent.host !== request.host || sent.path !== request.path ? { sent } : {}
    const reach = (endpoint: Parameters<typeof arrive>[0]): WayIn => arrive(endpoint, backend, { ...request, ...sent }, identity, knownOf)
    const endpoints = tellEndpoints(backend, endpointsOf(backend, view, request.host, port), reach)
    const fit = endpoints.filter(each => each.isUsed)
    const [first] = fit
    const failure =
      first === undefined
        ? told('no-endpoint', backend.name)
        : fit.every(each => each.way?.failure !== undefined)
          ? told(first.way!.failure!.code, first.way!.failure!.detail)
          : undefined
    return {
      part,
      backend,
      ...(backend === own ? {} : { insteadOf: own.name }),
      filters,
      ...changed,
      endpoints,
      ...(failure === undefined ? {} : { failure }),
    }
  })
}

/** Nothing with a part may fail, and something must have one. */
function arrived(so: Omit<Explanation, 'shares' | 'arrives'>, shares: readonly ShareTold[]): Explanation {
  const with_ = shares.filter(({ part }) => part > 0)
  const isWell = ({ failure, endpoints }: ShareTold): boolean =>
    failure === undefined && endpoints.every(({ isUsed, way }) => !isUsed || way?.failure === undefined)
  if (with_.length === 0) return { ...so, shares, failure: told('backend-invalid', 'no backend has a weight above 0'), arrives: 'never' }
  const failed = with_.find(each => each.failure !== undefined)?.failure
  if (with_.every(isWell)) return { ...so, shares, arrives: 'always' }
  const never = with_.every(each => each.failure !== undefined)
  return { ...so, shares, ...(failed === undefined ? {} : { failure: failed }), arrives: never ? 'never' : 'partly' }
}

const fails = (so: Omit<Explanation, 'shares' | 'arrives'>, code: FailureCode, detail: string): Explanation => ({
  ...so,
  shares: [],
  failure: told(code, detail),
  arrives: 'never',
})

function told(code: FailureCode, detail: string): FailureTold {
  const failure = new Failure(code, detail)
  return { code, status: failure.status, grpc: failure.grpc, says: failure.says, hint: failure.hint }
}
