/** One proxy's view, cut from the mesh: what its workload may call, and what is taken in for it. */

import type { Mesh } from '#model/mesh'
import { portName } from '#model/port'
import type { Backend, Listener, Protocol, RouteTable, View } from '#model/view'
import type { ProxyNode, WorkloadPort } from '#model/workload'
import { keep } from './keep.ts'
import { byName } from './names.ts'
import { backendProtocol, isHttp, isOpaque } from './protocol.ts'
import { portOf, selects } from './services.ts'

type Shared = Pick<View, 'listeners' | 'routes' | 'dns'>
/** What is the same for all clients of a namespace, made once for each mesh. */
const shared = new WeakMap<Mesh, Map<string, Shared>>()

/** previous: the view that this proxy had; what did not change is the same object in the new one. */
export function viewFor(mesh: Mesh, node: ProxyNode, previous?: View): View {
  const { listeners, routes, dns } = sharedBy(mesh, node.namespace)
  const inbound = node.ports.flatMap(port => (port.bind === undefined ? [] : [takeIn(mesh, node, port, port.bind)]))
  return keep<View>(previous, {
    listeners: { ...listeners, ...Object.fromEntries(inbound.map(each => [each.listener.name, each.listener])) },
    routes: { ...routes, ...Object.fromEntries(inbound.flatMap(({ table }) => (table === undefined ? [] : [[table.name, table]]))) },
    backends: { ...mesh.backends, ...Object.fromEntries(inbound.map(each => [each.backend.name, each.backend])) },
    endpoints: mesh.endpoints,
    dns,
    trust: mesh.trust,
  })
}

function sharedBy(mesh: Mesh, namespace: string): Shared {
  const known = shared.get(mesh) ?? new Map<string, Shared>()
  shared.set(mesh, known)
  const before = known.get(namespace)
  if (before) return before
  const own = mesh.consumers[namespace]
  const made: Shared = {
    listeners: { ...mesh.outbound.listeners, ...own?.listeners },
    routes: { ...mesh.outbound.routes, ...own?.routes },
    dns: [...mesh.dns.qualified, ...(mesh.dns.short[namespace] ?? [])].sort(byName),
  }
  known.set(namespace, made)
  return made
}

type TakenIn = { readonly listener: Listener; readonly table: RouteTable | undefined; readonly backend: Backend }

/** The way from the mesh to one port of the workload: `inbound/PORT` leads to `local/PORT`, with `/udp` behind both for UDP. */
function takeIn(mesh: Mesh, node: ProxyNode, port: WorkloadPort, bind: { readonly host: string; readonly port: number }): TakenIn {
  const protocol = spokenAt(mesh, node, port)
  const place = portName(port.port, protocol)
  const name = `inbound/${place}`
  const backends = [{ backend: `local/${place}`, weight: 1 }]
  const service = `${node.service}.${node.namespace}`
  return {
    listener: {
      name,
      direction: 'inbound',
      ...bind,
      protocol,
      // Datagrams come by other proxies only.
      tls: { mode: protocol === 'udp' ? 'strict' : mesh.mtls },
      ...(isHttp(protocol) ? { routes: name } : {}),
      ...(isOpaque(protocol) ? { backends } : {}),
      service,
    },
    table: isHttp(protocol)
      ? {
          name,
          hosts: [
            {
              name: '*',
              domains: ['*'],
              routes: [
                {
                  name: `Workload/${node.namespace}/${node.workload}/${port.port}`,
                  origin: `Workload ${node.namespace}/${node.workload} port ${port.port}`,
                  match: {},
                  filters: [],
                  action: { type: 'forward', backends },
                },
              ],
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
