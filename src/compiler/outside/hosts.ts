/** The way out of the mesh as one proxy is told it: hosts of ExternalServices that have no address of their own, and what may be called besides. */

import type { Backend } from '#model/backend'
import { allowedHosts, type Egress, forAddresses, forNames, forServices, openEgress, withoutNames } from '#model/egress'
import type { Listener, ServerNames } from '#model/listener'
import type { Mesh } from '#model/mesh'
import type { Route, RouteTable, VirtualHost } from '#model/route'
import type { View } from '#model/view'
import { isCovered } from './external.ts'
import { isHttp, isOpaque } from '../services/protocol.ts'

type Ways = Pick<View, 'listeners' | 'routes' | 'backends'>

/** The way by a name that a rule allows, and the way to wherever the caller wanted. */
export const byName = 'external/named'
export const byAddress = 'external/original'

const wayOut = (name: string, type: 'named' | 'original'): Backend => ({
  name,
  service: 'external',
  type,
  isExternal: true,
  port: 0,
  protocol: 'downstream',
  balance: 'round-robin',
  connectTimeoutMs: 10_000,
  identities: [],
})
const waysOut = { [byName]: wayOut(byName, 'named'), [byAddress]: wayOut(byAddress, 'original') }

/** Where all ports lead that have no listener of their own. */
const elsewhere = { name: 'outbound/*', port: 15_001 }

/** listeners and routes: with those of wildcard hosts one by one, which are put together here by their ports. egress: undefined: everything. */
export function withWayOut(mesh: Mesh, listeners: View['listeners'], routes: View['routes'], egress: Egress | undefined): Ways {
  const wild = Object.entries(mesh.external).flatMap(([name, host]) => {
    const listener = listeners[name]
    return host.startsWith('*.') && listener !== undefined ? [{ host, listener }] : []
  })
  if (wild.length === 0 && egress === undefined) return { listeners, routes, backends: {} }
  const kept = { ...listeners }
  const tables = { ...routes }
  for (const { listener } of wild) {
    delete kept[listener.name]
    if (listener.routes !== undefined) delete tables[listener.routes]
  }
  if (egress !== undefined && egress.deny.length > 0) denyAtServices(mesh, kept, tables, egress)
  const rules = egress ?? openEgress
  const ports = [...new Set(wild.map(({ listener }) => listener.port))].sort((a, b) => a - b)
  for (const { name, port } of [...ports.map(each => ({ name: `outbound/*:${each}`, port: each })), elsewhere]) {
    const here = wild.filter(({ listener }) => listener.port === port)
    const made = together(name, port, here, routes, rules)
    kept[name] = made.listener
    tables[name] = made.table
  }
  return { listeners: kept, routes: tables, backends: waysOut }
}

type Wild = { readonly host: string; readonly listener: Listener }

function together(
  name: string,
  port: number,
  here: readonly Wild[],
  routes: View['routes'],
  egress: Egress,
): { listener: Listener; table: RouteTable } {
  const services = forServices(egress)
  const denying = services.deny.length === 0 ? {} : { egress: services }
  const named = here.filter(({ listener }) => isOpaque(listener.protocol))
  const hosts = here.filter(({ listener }) => isHttp(listener.protocol))
  const allowed = allowedHosts(egress)
  const others = (of: readonly Wild[]): readonly string[] => {
    const covered = of.map(({ host }) => host)
    return allowed.filter(host => !isCovered(host, covered))
  }
  const serverNames: readonly ServerNames[] = [
    // A TLSRoute that names servers narrows the wildcard to them.
    ...named.flatMap(({ host, listener }): readonly ServerNames[] => {
      const narrower = (listener.serverNames ?? []).flatMap(({ names, backends }) => {
        const own = names.filter(name => isCovered(name, [host]))
        return own.length === 0 ? [] : [{ names: own, backends }]
      })
      const isTaken = listener.backends === undefined || narrower.some(({ names }) => names.includes(host))
      return isTaken ? narrower : [...narrower, { names: [host], backends: listener.backends! }]
    }),
    ...(others(named).length === 0 ? [] : [{ names: others(named), backends: [{ backend: byName, weight: 1 }] }]),
  ]
  const virtual: readonly VirtualHost[] = [
    ...hosts.map(({ host, listener }) => ({
      name: host,
      domains: [host],
      routes: (routes[listener.routes ?? '']?.hosts ?? []).flatMap(each => each.routes).map((route): Route => ({ ...route, ...denying })),
    })),
    ...(others(hosts).length === 0 ? [] : [{ name: byName, domains: [...others(hosts)], routes: [routeOut(byName, forNames(egress))] }]),
    { name: byAddress, domains: ['*'], routes: [routeOut(byAddress, forAddresses(egress))] },
  ]
  return {
    listener: {
      name,
      direction: 'outbound',
      host: '0.0.0.0',
      port,
      protocol: 'detect',
      routes: name,
      backends: [{ backend: byAddress, weight: 1 }],
      ...(serverNames.length === 0 ? {} : { serverNames }),
      service: 'external',
      egress,
    },
    table: { name, hosts: virtual },
  }
}

const routeOut = (backend: string, egress: Egress): Route => ({
  name: backend,
  origin: 'outside the mesh',
  match: {},
  filters: [],
  action: { type: 'forward', backends: [{ backend, weight: 1 }] },
  ...(egress.default === 'allow' && egress.deny.length === 0 ? {} : { egress }),
})

/** What is denied by name is so as an ExternalService too, whoever wrote that. */
function denyAtServices(mesh: Mesh, listeners: Record<string, Listener>, routes: Record<string, RouteTable>, egress: Egress): void {
  for (const [name, host] of Object.entries(mesh.external)) {
    const listener = listeners[name]
    if (listener === undefined) continue
    const own = withoutNames(egress, host)
    if (own.deny.length === 0) continue
    // Of requests too, so that Envoy has the filters that its routes speak of.
    listeners[name] = { ...listener, egress: own }
    const table = listener.routes === undefined ? undefined : routes[listener.routes]
    if (table === undefined) continue
    routes[table.name] = {
      ...table,
      hosts: table.hosts.map(each => ({ ...each, routes: each.routes.map((route): Route => ({ ...route, egress: own })) })),
    }
  }
}
