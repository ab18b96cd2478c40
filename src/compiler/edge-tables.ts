/** The route tables of a Gateway's ports: a virtual host for each host, in it the routes of all hosts that hold for it, the most specific first. */

import type { Outbound } from '#model/mesh'
import type { Listener, Route, RouteTable, ServerNames, Terminated, VirtualHost, WeightedBackend } from '#model/view'
import type { Gateway, TCPRoute, TLSRoute } from '#resources/gateway-api'
import { bySpecificity, commonHost, covers, ownerOf } from './edge-hosts.ts'
import type { EdgeListener } from './edge-listeners.ts'
import { nameOf, namespaceOf } from './gather.ts'
import type { RequestRoute } from './lower.ts'
import type { Ranked } from './order.ts'
import { inOrder } from './order.ts'

export type EdgeRoute = RequestRoute | TLSRoute | TCPRoute
/** What each listener takes: the oldest of each kind first. */
export type EdgeRoutes = ReadonlyMap<EdgeListener, readonly EdgeRoute[]>
type Lowered = {
  readonly requests: (route: RequestRoute) => readonly Ranked[]
  readonly streams: (route: TLSRoute | TCPRoute) => readonly WeightedBackend[]
}

/** host: where all listeners are bound. */
export function lowerGateway(
  gateway: Gateway,
  listeners: readonly EdgeListener[],
  attached: EdgeRoutes,
  lowered: Lowered,
  host: string,
): Outbound {
  const found: Record<string, Listener> = {}
  const routes: Record<string, RouteTable> = {}
  const open = listeners.filter(each => each.holds)
  for (const port of [...new Set(open.map(each => each.spec.port))].sort((a, b) => a - b)) {
    const sharing = open.filter(each => each.spec.port === port)
    const base = {
      name: `gateway/${port}`,
      direction: 'gateway',
      host,
      port,
      protocol: 'http',
      service: `${gateway.metadata.name}.${namespaceOf(gateway)}`,
    } as const
    const table = (name: string, hosts: readonly VirtualHost[]): string => {
      routes[name] = { name, hosts }
      return name
    }
    const place = `gateway/${nameOf(gateway)}:${port}`
    const hostsOf = (each: EdgeListener): readonly VirtualHost[] =>
      hostsFor(each, sharing, (attached.get(each) ?? []).filter(isRequest), lowered)
    const { protocol } = sharing[0]!.spec
    if (protocol === 'TLS' || protocol === 'TCP') {
      const opaque = streamsOf(sharing, attached, lowered)
      // Without a route there is nowhere to go, and nothing is opened.
      if (opaque !== undefined) found[base.name] = { ...base, protocol: protocol === 'TLS' ? 'tls' : 'tcp', ...opaque }
      continue
    }
    if (protocol === 'HTTP') {
      found[base.name] = { ...base, routes: table(place, sharing.flatMap(hostsOf)) }
      continue
    }
    const terminates = sharing.map((each): Terminated => {
      const others = sharing.filter(other => other !== each).map(other => misdirected(other, each))
      return {
        names: each.hostname === '*' ? [] : [each.hostname],
        certificates: each.certificates,
        ...(each.callers === undefined ? {} : { callers: each.callers }),
        routes: table(`${place}/${each.spec.name}`, [...hostsOf(each), ...others]),
      }
    })
    found[base.name] = { ...base, terminates }
  }
  return { listeners: found, routes }
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
  return [...of('GRPCRoute'), ...of('HTTPRoute')]
}

const isRequest = (route: EdgeRoute): route is RequestRoute => route.kind === 'HTTPRoute' || route.kind === 'GRPCRoute'

/** Where bytes go that are not looked into: by server name, a name of several routes to the oldest; a TCPRoute takes every connection. */
function streamsOf(
  sharing: readonly EdgeListener[],
  attached: EdgeRoutes,
  lowered: Lowered,
): Pick<Listener, 'serverNames' | 'backends'> | undefined {
  const serverNames: ServerNames[] = []
  const taken = new Set<string>()
  let others: readonly WeightedBackend[] | undefined
  for (const listener of sharing)
    for (const route of attached.get(listener) ?? []) {
      if (isRequest(route)) continue
      const own = hostsOfRoute(listener, route).filter(host => ownerOf(sharing, host) === listener && !taken.has(host))
      for (const host of own) taken.add(host)
      const names = own.filter(host => host !== '*')
      if (names.length > 0) serverNames.push({ names, backends: lowered.streams(route) })
      if (own.includes('*')) others = lowered.streams(route)
    }
  if (taken.size === 0) return undefined
  return { ...(serverNames.length > 0 ? { serverNames } : {}), ...(others === undefined ? {} : { backends: others }) }
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
