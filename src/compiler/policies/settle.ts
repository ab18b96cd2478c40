/** Where policies of requests and connections come into what clients call: settled in place for everybody, and kept in layers where they differ by client. */

import type { Listener } from '#model/listener'
import type { Layer, Mesh, Outbound } from '#model/mesh'
import type { Route } from '#model/route'
import type { FaultPolicy, RoutePolicy } from '#resources/weft'
import { layerOf, layersFor, namesClients } from './layers.ts'
import { isOpaque } from '../services/protocol.ts'
import { breaksBytes, breaksRequests, faultLayer, ofBytesOnly, settleListener, settleRoute } from './route.ts'
import type { ServicePort } from '../services/services.ts'
import type { Placed, Targets } from './targets.ts'

/** own: what rules say themselves, by name of the route of the model. */
export type Speaking = {
  readonly routes: Targets<RoutePolicy>
  readonly faults: Targets<FaultPolicy>
  readonly own: ReadonlyMap<string, Layer>
}

type Differing = {
  readonly routes: Record<string, Record<string, readonly Layer[]>>
  readonly listeners: Record<string, readonly Layer[]>
}

/** All that is said of a route, what counts most first. ofFault: a fault as the view has it, unless said. What a rule says itself is as narrow as a policy for it, and comes behind one that names clients. */
export function layersOfRoute(
  { routes, faults, own }: Speaking,
  port: ServicePort | undefined,
  name: string,
  ofFault = faultLayer,
): readonly Layer[] {
  const said = routes.of(port, name)
  const itself = own.get(name)
  const isBefore = ({ level, from }: Placed<RoutePolicy>): boolean => level === 'rule' && from !== undefined
  const layers = [
    ...said.filter(isBefore).map(layerOf),
    ...(itself === undefined ? [] : [itself]),
    ...said.filter(each => !isBefore(each)).map(layerOf),
  ]
  return [
    ...layers,
    ...faults
      .of(port, name)
      .filter(breaksRequests)
      .map(each => ofFault(each)),
  ]
}

/** The same of the connections or datagrams of a port. route: `KIND/NAMESPACE/NAME/0` of the one that takes them. */
export function layersOfBytes({ routes, faults }: Speaking, port: ServicePort, route: string, ofFault = faultLayer): readonly Layer[] {
  const isUdp = port.protocol === 'udp'
  const broken = faults
    .of(port, route)
    .filter(breaksBytes(isUdp))
    .map(each => ofFault(each))
  return [...ofBytesOnly(routes.of(port, route).map(layerOf), isUdp), ...broken]
}

export class Settling {
  readonly #speaking: Speaking
  readonly #ports: ReadonlyMap<string, ServicePort>
  readonly #differing: Differing = { routes: {}, listeners: {} }

  /** ports: by key, the name of their tables. */
  constructor(speaking: Speaking, ports: ReadonlyMap<string, ServicePort>) {
    this.#speaking = speaking
    this.#ports = ports
  }

  /** What came together from all that was settled. */
  get perClient(): Pick<Mesh['perClient'], 'routes' | 'listeners'> {
    return this.#differing
  }

  /** bytesBy: the route that takes the connections or datagrams of a port, by the port's key. */
  settle(outbound: Outbound, bytesBy: (key: string) => string): Outbound {
    if (this.#speaking.routes.isEmpty && this.#speaking.faults.isEmpty) return outbound
    const routes = Object.entries(outbound.routes).map(([name, table]) => {
      const hosts = table.hosts.map(host => ({ ...host, routes: host.routes.map(route => this.#route(name, route)) }))
      return [name, { ...table, hosts }] as const
    })
    const listeners = Object.entries(outbound.listeners).map(([name, listener]) => [name, this.#listener(listener, bytesBy)] as const)
    return { listeners: Object.fromEntries(listeners), routes: Object.fromEntries(routes) }
  }

  #route(table: string, route: Route): Route {
    const layers = layersOfRoute(this.#speaking, this.#ports.get(table), route.name)
    if (layers.length === 0) return route
    if (namesClients(layers)) (this.#differing.routes[table] ??= {})[route.name] = layers
    return settleRoute(route, layersFor(layers, undefined), !this.#ports.has(table))
  }

  #listener(listener: Listener, bytesBy: (key: string) => string): Listener {
    const key = listener.name.slice('outbound/'.length)
    const port = this.#ports.get(key)
    if (port === undefined || !isOpaque(listener.protocol)) return listener
    const layers = layersOfBytes(this.#speaking, port, bytesBy(key))
    if (layers.length === 0) return listener
    if (namesClients(layers)) this.#differing.listeners[listener.name] = layers
    return settleListener(listener, layersFor(layers, undefined))
  }
}
