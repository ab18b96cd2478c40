/** One proxy's view, cut from the mesh: what its workload may call, and what is taken in for it. */

import type { Backend } from '#model/backend'
import { forEnvoy, type Lack, withoutLookAlikes } from '#model/envoy'
import type { Mesh } from '#model/mesh'
import { onLoopback } from '#model/loopback'
import { inTls, portName } from '#model/port'
import type { Telemetry } from '#model/telemetry'
import type { View } from '#model/view'
import type { ProxyNode } from '#model/workload'
import { selectedBodies } from './at-port.ts'
import { takeIn } from './inbound.ts'
import { byNearness } from './policies/balance.ts'
import { egressOf } from './outside/egress.ts'
import type { Client } from './clients.ts'
import { keep } from './keep.ts'
import { byName } from './services/names.ts'
import { withWayOut } from './outside/hosts.ts'
import { backendsFor, classOf, nearFor, outboundFor, settledFor } from './policies/per-client.ts'
import { beyondEnvoy, telemetryOf, telemetryBackends, withTelemetry } from './policies/telemetry.ts'
import { keyBackends } from './access/tokens.ts'

type Shared = Pick<View, 'listeners' | 'routes' | 'backends' | 'dns'>

/** What is the same for all clients of a namespace that the same policies and routes are meant for, made once for each mesh. */
const shared = new WeakMap<Mesh, Map<string, Shared>>()

/** previous: the view that this proxy had; what did not change is the same object in the new one. */
export function viewFor(mesh: Mesh, node: ProxyNode, previous?: View): View {
  const view = node.gateway === undefined ? workloadView(mesh, node) : gatewayView(mesh, node, node.gateway.name)
  if (node.isEnvoy !== true) return keep<View>(previous, view)
  const others = beyondEnvoy(mesh, node)
  const around = node.gateway === undefined ? { egress: egressOf(mesh, node), bodies: bodyPolicies(mesh, node), others } : { others }
  const made = forEnvoy(view, around)
  const kept = keep<View>(previous, withoutLookAlikes(made.view))
  lacks.set(kept, made.lacking)
  return kept
}

const lacks = new WeakMap<View, readonly Lack[]>()

/** What the proxy of this view does not carry out, for it is an Envoy. */
export const lackingIn = (view: View): readonly Lack[] => lacks.get(view) ?? []

/** By whose word bodies are judged, by name of the table. */
const bodyPolicies = (mesh: Mesh, node: ProxyNode): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries([
    ...Object.values(mesh.bodies).flatMap(all => all.map(({ port, by }) => [port, by] as const)),
    ...node.ports.map(port => [`inbound/${portName(port.port, port.protocol)}`, selectedBodies(mesh, node, port)?.by ?? []] as const),
  ])

function workloadView(mesh: Mesh, node: ProxyNode): View {
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
  return node.loopback === undefined ? view : onLoopback(view, node.loopback)
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
    backends: { ...backends, ...inside.backends, ...keyBackends(listeners), ...telemetryBackends(telemetry) },
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
    backends: { ...backendsFor(mesh, node, { ...ownBackends(mesh, namespace), ...ways.backends }), ...telemetryBackends(telemetry) },
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
