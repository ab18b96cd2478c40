/** What of the mesh is meant for one client: routes and settings that name it, in place of those for everybody. */

import type { Backend } from '#model/backend'
import type { ClientMatch, Mesh, Near, Outbound } from '#model/mesh'
import type { HashOn } from '#model/route'
import type { View } from '#model/view'
import { type Client, isMeant } from '../clients.ts'
import { byCaller, recognisingRoute } from './hashes.ts'
import { layersFor } from './layers.ts'
import { type Calling, callingAt } from './backend.ts'
import { settleListener, settleRoute } from './route.ts'

/** All lists of clients that the mesh names, each once. */
const named = new WeakMap<Mesh, readonly (readonly ClientMatch[])[]>()

function listsOf(mesh: Mesh): readonly (readonly ClientMatch[])[] {
  const known = named.get(mesh)
  if (known !== undefined) return known
  const { routes, listeners, backends } = mesh.perClient
  const layers = [
    ...Object.values(routes).flatMap(table => Object.values(table)),
    ...Object.values(listeners),
    ...Object.values(backends).map(each => each.layers),
  ].flat()
  const lists = [...layers.flatMap(({ from }) => (from === undefined ? [] : [from])), ...mesh.chosen.map(({ from }) => from)]
  const found = [...new Map(lists.map(each => [JSON.stringify(each), each])).values()]
  named.set(mesh, found)
  return found
}

/** Clients of which this is the same are told the same, but for their namespace; empty: nothing names it. */
export const classOf = (mesh: Mesh, client: Client): string =>
  listsOf(mesh)
    .flatMap((from, at) => (isMeant(from, client) ? [at] : []))
    .join()

/** What is called where no policy names anybody: producer routes, then those for the client, then consumer routes of its namespace, then those for the client. */
export function outboundFor(mesh: Mesh, client: Client): Outbound {
  const meant = mesh.chosen.filter(({ from, scope }) => (scope === undefined || scope === client.namespace) && isMeant(from, client))
  const own = mesh.consumers[client.namespace]
  const parts = [
    mesh.outbound,
    ...meant.filter(each => each.scope === undefined),
    ...(own === undefined ? [] : [own]),
    ...meant.filter(each => each.scope !== undefined),
  ]
  if (parts.length === 1) return mesh.outbound
  return {
    listeners: Object.assign({}, ...parts.map(each => each.listeners)) as Outbound['listeners'],
    routes: Object.assign({}, ...parts.map(each => each.routes)) as Outbound['routes'],
  }
}

/** The same with the policies that name the client. */
export function settledFor(mesh: Mesh, client: Client, { listeners, routes }: Outbound): Outbound {
  if (classOf(mesh, client) === '') return { listeners, routes }
  const { perClient } = mesh
  const isEdge = Object.values(listeners).some(({ direction }) => direction === 'gateway')
  const tables = Object.entries(perClient.routes).flatMap(([name, layersOf]) => {
    const table = routes[name]
    if (table === undefined) return []
    const hosts = table.hosts.map(host => ({
      ...host,
      routes: host.routes.map(route => {
        const layers = layersOf[route.name]
        return layers === undefined ? route : settleRoute(route, layersFor(layers, client), isEdge)
      }),
    }))
    return [[name, { ...table, hosts }] as const]
  })
  const places = Object.entries(perClient.listeners).flatMap(([name, layers]) => {
    const listener = listeners[name]
    return listener === undefined ? [] : [[name, settleListener(listener, layersFor(layers, client))] as const]
  })
  return recognised(mesh, client, {
    listeners: { ...listeners, ...Object.fromEntries(places) },
    routes: { ...routes, ...Object.fromEntries(tables) },
  })
}

/** By name, those that are called otherwise by this client. */
function callingFor(mesh: Mesh, client: Client): ReadonlyMap<string, Calling> {
  if (classOf(mesh, client) === '') return new Map()
  return new Map(
    Object.entries(mesh.perClient.backends).flatMap(([name, { protocol, layers }]) => {
      const own = layersFor(layers, client)
      return own.some(({ from }) => from !== undefined) ? [[name, callingAt(own, { protocol })] as const] : []
    }),
  )
}

/** backends: in the view of everybody. */
export function backendsFor(mesh: Mesh, client: Client, backends: View['backends']): View['backends'] {
  const changed = [...callingFor(mesh, client)].flatMap(([name, calling]): (readonly [string, Backend])[] => {
    const backend = backends[name]
    return backend === undefined ? [] : [[name, redressed(mesh, backend, calling)]]
  })
  return changed.length === 0 ? backends : { ...backends, ...Object.fromEntries(changed) }
}

function redressed(mesh: Mesh, backend: Backend, own: Calling): Backend {
  const { hash: _, near: __, ...calling } = own
  const { protocol, layers } = mesh.perClient.backends[backend.name]!
  const usual = new Set(Object.keys(callingAt(layersFor(layers, undefined), { protocol })))
  const rest = Object.fromEntries(Object.entries(backend).filter(([key]) => !usual.has(key))) as Omit<Backend, keyof Calling>
  return { ...rest, ...calling }
}

/** Which places are near for this client. */
export function nearFor(mesh: Mesh, client: Client): Mesh['near'] {
  const changed = [...callingFor(mesh, client)]
  if (changed.length === 0) return mesh.near
  const found: Record<string, Near> = { ...mesh.near }
  for (const [name, { near }] of changed) {
    delete found[name]
    if (near !== undefined && mesh.endpoints[name] !== undefined) found[name] = near
  }
  return found
}

/** Routes and listeners say by what requests are recognised, which depends on the backends they lead to. */
function recognised(mesh: Mesh, client: Client, { listeners, routes }: Outbound): Outbound {
  const changed = [...callingFor(mesh, client)].filter(
    ([name, { hash }]) => JSON.stringify(hash) !== JSON.stringify(mesh.perClient.hashes[name] ?? []),
  )
  if (changed.length === 0) return { listeners, routes }
  const hashes = new Map<string, readonly HashOn[]>(Object.entries(mesh.perClient.hashes))
  for (const [name, { hash }] of changed) {
    hashes.delete(name)
    if (hash.length > 0) hashes.set(name, hash)
  }
  return {
    listeners: Object.fromEntries(
      Object.entries(listeners).map(([name, each]) => {
        const { hash: _, ...listener } = each
        return [name, { ...listener, ...byCaller(listener, hashes) }]
      }),
    ),
    routes: Object.fromEntries(
      Object.entries(routes).map(([name, table]) => {
        const hosts = table.hosts.map(host => ({
          ...host,
          routes: host.routes.map(route => {
            if (route.action.type !== 'forward') return route
            const { hash: _, ...action } = route.action
            return recognisingRoute({ ...route, action }, hashes)
          }),
        }))
        return [name, { ...table, hosts }]
      }),
    ),
  }
}
