/** By what requests are recognised, put where it is needed: at each route and listener that leads to a backend which chooses by hash. */

import type { Listener } from '#model/listener'
import type { Outbound } from '#model/mesh'
import type { HashOn, Route, WeightedBackend } from '#model/route'

/** By name of the backend; those that do not choose by hash are absent. */
export type Hashes = ReadonlyMap<string, readonly HashOn[]>

/** Of backends that are recognised by different things, all of them count together, each once. */
export function recognisingRoute(route: Route, hashes: Hashes): Route {
  if (route.action.type !== 'forward') return route
  const hash = hashOf(route.action.backends, hashes)
  return hash.length === 0 ? route : { ...route, action: { ...route.action, hash } }
}

type Opaque = Pick<Listener, 'backends' | 'serverNames'>

/** Of opaque bytes nothing is known but who sends them. */
export function byCaller(opaque: Opaque, hashes: Hashes): Opaque & Pick<Listener, 'hash'> {
  if (hashes.size === 0) return opaque
  const backends = [...(opaque.backends ?? []), ...(opaque.serverNames ?? []).flatMap(each => each.backends)]
  return hashOf(backends, hashes).some(({ type }) => type === 'source-ip') ? { ...opaque, hash: 'source-ip' } : opaque
}

/** The same of the ports of a Gateway, and of each name there for which TLS ends before opaque bytes. */
export function recognisingCallers(outbound: Outbound, hashes: Hashes): Outbound {
  if (hashes.size === 0) return outbound
  const recognising = ({ terminates, ...listener }: Listener): Listener => ({
    ...listener,
    ...byCaller(listener, hashes),
    ...(terminates === undefined
      ? {}
      : {
          terminates: terminates.map(each =>
            each.backends === undefined ? each : { ...each, ...byCaller({ backends: each.backends }, hashes) },
          ),
        }),
  })
  const listeners = Object.entries(outbound.listeners).map(([name, listener]) => [name, recognising(listener)] as const)
  return { ...outbound, listeners: Object.fromEntries(listeners) }
}

function hashOf(backends: readonly WeightedBackend[], hashes: Hashes): readonly HashOn[] {
  const found = new Map<string, HashOn>()
  for (const { backend, weight } of backends)
    for (const each of (weight > 0 && backend !== undefined && hashes.get(backend)) || []) found.set(JSON.stringify(each), each)
  return [...found.values()]
}
