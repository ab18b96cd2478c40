/** The route tables of a Gateway's ports: a virtual host for each host, in it the routes of all hosts that hold for it, the most specific first. */

import type { Listener, Protocol, ServerNames, Terminated } from '#model/listener'
import type { Outbound } from '#model/mesh'
import { portName } from '#model/port'
import type { Route, RouteTable, VirtualHost, WeightedBackend } from '#model/route'
import { matchAtEdge } from '#model/spelling'
import type { Gateway, TCPRoute, TLSRoute } from '#resources/gateway-api'
import { bySpecificity, commonHost, covers, ownerOf } from './hosts.ts'
import type { EdgeListener } from './listeners.ts'
import { endsTls } from './listeners.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import type { RequestRoute } from '../routes/routes.ts'
import type { Ranked } from '../routes/order.ts'
import { inOrder } from '../routes/order.ts'

export type EdgeRoute = RequestRoute | TLSRoute | TCPRoute
/** What each listener takes: the oldest of each kind first. */
export type EdgeRoutes = ReadonlyMap<EdgeListener, readonly EdgeRoute[]>
type Lowered = {
  readonly requests: (route: RequestRoute) => readonly Ranked[]
  readonly streams: (route: TLSRoute | TCPRoute) => readonly WeightedBackend[]
}

/** hosts: addresses on which all listeners are bound. */
export function lowerGateway(
  gateway: Gateway,
  listeners: readonly EdgeListener[],
  attached: EdgeRoutes,
  lowered: Lowered,
  hosts: readonly string[],
): Outbound {
  const found: Record<string, Listener> = {}
  const routes: Record<string, RouteTable> = {}
  const table = (name: string, hosts: readonly VirtualHost[]): string => {
    routes[name] = { name, hosts }
    return name
  }
  const service = `${gateway.metadata.name}.${namespaceOf(gateway)}`
  for (const [place, sharing] of byPort(listeners.filter(each => each.holds))) {
    const { port, protocol } = sharing[0]!.spec
    const made = portOf({ sharing, attached, lowered, name: `gateway/${nameOf(gateway)}:${port}`, table })
    // Without a route of connections there is nowhere to go, and nothing is opened.
    if (made === undefined) continue
    for (const [index, host] of hosts.entries()) {
      const name = index === 0 ? `gateway/${place}` : `gateway/${place}@${host}`
      found[name] = { name, direction: 'gateway', host, port, protocol: spoken[protocol] ?? 'http', service, ...made }
    }
  }
  return { listeners: found, routes }
}

const spoken: Readonly<Record<string, Protocol>> = { TCP: 'tcp', UDP: 'udp' }

/** In order of ports; one of UDP is another than that of TCP. */
function byPort(open: readonly EdgeListener[]): readonly (readonly [place: string, sharing: readonly EdgeListener[]])[] {
  const sorted = open.toSorted((one, other) => one.spec.port - other.spec.port)
  return [...Map.groupBy(sorted, ({ spec }) => portName(spec.port, spec.protocol === 'UDP' ? 'udp' : 'tcp'))]
}

type Port = {
  readonly sharing: readonly EdgeListener[]
  readonly attached: EdgeRoutes
  readonly lowered: Lowered
  readonly name: string
  readonly table: (name: string, hosts: readonly VirtualHost[]) => string
}

/** What becomes of the connections of one port. */
function portOf({ sharing, attached, lowered, name, table }: Port): Partial<Listener> | undefined {
  const { protocol } = sharing[0]!.spec
  const hostsOf = (each: EdgeListener): readonly VirtualHost[] =>
    hostsFor(each, sharing, (attached.get(each) ?? []).filter(isRequest), lowered)
  if (protocol === 'HTTP') return { routes: table(name, sharing.flatMap(hostsOf)) }
  const streams = streamsOf(sharing, attached, lowered)
  if (protocol === 'TCP' || protocol === 'UDP') return streams.length === 0 ? undefined : { backends: streams[0]!.backends }
  if (!sharing.some(each => endsTls(each.spec))) return passedOn(streams)
  const https = sharing.filter(each => each.spec.protocol === 'HTTPS')
  const terminates = [
    ...https.map((each): Terminated => {
      const others = sharing.filter(other => other !== each).map(other => misdirected(other, each))
      return {
        names: namesIn(each.hostname),
        certificates: each.certificates,
        ...(each.callers === undefined ? {} : { callers: each.callers }),
        ...(each.profile === undefined ? {} : { profile: each.profile }),
        routes: table(`${name}/${placeOf(each)}`, [...hostsOf(each), ...others]),
      }
    }),
    ...streams.map(
      ({ listener, host, backends }): Terminated => ({
        names: namesIn(host),
        certificates: listener.certificates,
        ...(listener.profile === undefined || listener.certificates.length === 0 ? {} : { profile: listener.profile }),
        backends,
      }),
    ),
  ]
  return terminates.length === 0 ? undefined : { terminates }
}

const namesIn = (host: string): readonly string[] => (host === '*' ? [] : [host])

/** Names of listeners are distinct in one document only. */
const placeOf = ({ holder, spec }: EdgeListener): string => (holder.kind === 'Gateway' ? spec.name : `${nameOf(holder)}/${spec.name}`)

/** TLS that is not ended anywhere on the port. */
function passedOn(streams: readonly Stream[]): Partial<Listener> | undefined {
  if (streams.length === 0) return undefined
  const serverNames = [
    ...Map.groupBy(
      streams.filter(each => each.host !== '*'),
      each => each.backends,
    ),
  ].map(([backends, each]): ServerNames => ({ names: each.map(({ host }) => host), backends }))
  const others = streams.find(each => each.host === '*')
  return {
    protocol: 'tls',
    ...(serverNames.length > 0 ? { serverNames } : {}),
    ...(others === undefined ? {} : { backends: others.backends }),
  }
}

/** Its own hosts, without those that belong to a more specific listener of the port; that without any route too, for its requests are answered 404 and not taken by another. */
function hostsFor(
  listener: EdgeListener,
  sharing: readonly EdgeListener[],
  routes: readonly RequestRoute[],
  lowered: Lowered,
): readonly VirtualHost[] {
  const byHost = new Map<string, RequestRoute[]>([[listener.hostname, []]])
  for (const route of routes)
    for (const host of hostsOfRoute(listener, route)) {
      if (ownerOf(sharing, host) !== listener) continue
      const list = byHost.get(host)
      if (list) list.push(route)
      else byHost.set(host, [route])
    }
  const tried = new Map([...byHost].map(([host, list]) => [host, inPrecedence(list, lowered)]))
  const hosts = [...byHost.keys()].sort(bySpecificity)
  return hosts.map(host => ({
    name: host,
    domains: [host],
    routes: hosts.filter(each => covers(each, host)).flatMap(each => tried.get(each)!),
  }))
}

/** Distinct, in the order in which the route names them. */
export const hostsOfRoute = ({ hostname }: Pick<EdgeListener, 'hostname'>, route: EdgeRoute): readonly string[] => {
  const asked = route.spec !== undefined && 'hostnames' in route.spec ? (route.spec.hostnames ?? []) : []
  return [...new Set((asked.length === 0 ? ['*'] : asked).flatMap(each => commonHost(hostname, each) ?? []))]
}

function inPrecedence(list: readonly RequestRoute[], lowered: Lowered): readonly Route[] {
  const of = (kind: string) => inOrder(list.filter(each => each.kind === kind).flatMap(each => lowered.requests(each)))
  return [...of('GRPCRoute'), ...of('HTTPRoute')].map(asSpelled)
}

/** Requests come to it in one spelling of their paths. */
function asSpelled(route: Route): Route {
  const { path } = route.match
  const spelled = path && matchAtEdge(path)
  return spelled === path ? route : { ...route, match: { ...route.match, path: spelled! } }
}

const isRequest = (route: EdgeRoute): route is RequestRoute => route.kind === 'HTTPRoute' || route.kind === 'GRPCRoute'

type Stream = { readonly listener: EdgeListener; readonly host: string; readonly backends: readonly WeightedBackend[] }

/** Where bytes go that are not looked into: a name of several routes to the oldest; a TCPRoute or UDPRoute takes all of its listener. */
function streamsOf(sharing: readonly EdgeListener[], attached: EdgeRoutes, lowered: Lowered): readonly Stream[] {
  const taken = new Set<string>()
  return sharing.flatMap(listener =>
    (attached.get(listener) ?? []).flatMap((route): readonly Stream[] => {
      if (isRequest(route)) return []
      const own = hostsOfRoute(listener, route).filter(host => ownerOf(sharing, host) === listener && !taken.has(host))
      for (const host of own) taken.add(host)
      return own.map(host => ({ listener, host, backends: lowered.streams(route) }))
    }),
  )
}

/** Its caller asked for one name and wants another: there is a listener for that, with perhaps another certificate (RFC 9110 §15.5.20, Gateway API Listener). */
const misdirected = (other: EdgeListener, asked: EdgeListener): VirtualHost => ({
  name: other.hostname,
  domains: [other.hostname],
  routes: [
    {
      name: `misdirected/${other.spec.name}`,
      origin: `listener ${other.spec.name}`,
      match: {},
      filters: [],
      action: {
        type: 'respond',
        status: 421,
        reason: 'misdirected',
        detail: `the connection was made to listener ${asked.spec.name}, and the host belongs to listener ${other.spec.name}`,
      },
    },
  ],
})
