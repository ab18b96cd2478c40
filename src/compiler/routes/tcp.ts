/** Routes of connections and datagrams that are not looked into: the backends of one TCPRoute, TLSRoute or UDPRoute by weight, and which server name of a port leads where. */

import type { ServerNames } from '#model/listener'
import type { WeightedBackend } from '#model/route'
import type { ReferenceGrant, TCPRoute, TLSRoute, UDPRoute } from '#resources/gateway-api'
import type { Unsupported } from './filters.ts'
import { isWeightless, type LoweredRoute, weightless } from './rules.ts'
import { fromOf, resolve } from './resolve.ts'
import type { Services } from '../services/services.ts'

export type LoweredTCP = {
  readonly backends: readonly WeightedBackend[]
  readonly refs: LoweredRoute['refs']
  readonly invalid: ReadonlyMap<number, readonly Unsupported[]>
}

/** A connection whose share leads nowhere is closed, as is every connection of a route that asks for more than is carried out. */
export function lowerTCP(route: TCPRoute | TLSRoute | UDPRoute, services: Services, grants: readonly ReferenceGrant[]): LoweredTCP {
  const { kind } = route
  const rules = route.spec?.rules ?? []
  const refs: LoweredRoute['refs'][number][] = []
  if (rules.length !== 1) {
    const says = `a ${kind} with several rules is not carried out: nothing tells them apart`
    return {
      backends: [{ backend: undefined, weight: 1 }],
      refs,
      invalid: new Map(rules.map((_, at) => [at, [{ path: `spec.rules[${at}]`, says }]])),
    }
  }
  const backends = rules[0]!.backendRefs.map((ref, at): WeightedBackend => {
    const found = resolve(ref, fromOf(route), services, grants)
    if (found.backend === undefined) refs.push({ ...found, path: `spec.rules[0].backendRefs[${at}]` })
    return { backend: found.backend, weight: ref.weight }
  })
  if (backends.some(each => each.weight > 0)) return { backends, refs, invalid: new Map() }
  const invalid = isWeightless(rules[0]!.backendRefs) ? new Map([[0, [weightless('spec.rules[0]')]]]) : new Map<number, never>()
  return { backends: [{ backend: undefined, weight: 1 }], refs, invalid }
}

/** routes: of one port, the oldest first, which takes a name that several ask for. unnamed: the one that takes what nobody names. */
export function namesOf(routes: readonly TLSRoute[]): {
  readonly names: ReadonlyMap<TLSRoute, readonly string[]>
  readonly unnamed: TLSRoute | undefined
} {
  const taken = new Set<string>()
  const names = new Map<TLSRoute, readonly string[]>()
  for (const route of routes) {
    const own = (route.spec?.hostnames ?? []).filter(name => !taken.has(name))
    for (const name of own) taken.add(name)
    if (own.length > 0) names.set(route, own)
  }
  return { names, unnamed: routes.find(route => (route.spec?.hostnames ?? []).length === 0) }
}

/** What a listener of TLS says of them. */
export function lowerNames(
  routes: readonly TLSRoute[],
  lowered: ReadonlyMap<TLSRoute, readonly WeightedBackend[]>,
): { readonly serverNames: readonly ServerNames[]; readonly backends?: readonly WeightedBackend[] } {
  const { names, unnamed } = namesOf(routes)
  return {
    serverNames: [...names].map(([route, own]) => ({ names: own, backends: lowered.get(route)! })),
    ...(unnamed === undefined ? {} : { backends: lowered.get(unnamed)! }),
  }
}
