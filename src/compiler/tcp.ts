/** The backends of one TCPRoute, by weight. */

import type { WeightedBackend } from '#model/view'
import type { ReferenceGrant, TCPRoute } from '#resources/gateway-api'
import type { Unsupported } from './filters.ts'
import { namespaceOf } from './gather.ts'
import type { LoweredRoute } from './rules.ts'
import { resolve } from './resolve.ts'
import type { Services } from './services.ts'

export type LoweredTCP = {
  readonly backends: readonly WeightedBackend[]
  readonly refs: LoweredRoute['refs']
  readonly invalid: ReadonlyMap<number, readonly Unsupported[]>
}

/** A connection whose share leads nowhere is closed, as is every connection of a route that asks for more than is carried out. */
export function lowerTCP(route: TCPRoute, services: Services, grants: readonly ReferenceGrant[]): LoweredTCP {
  const rules = route.spec?.rules ?? []
  const refs: LoweredRoute['refs'][number][] = []
  if (rules.length !== 1) {
    const says = 'a TCPRoute with several rules is not carried out: nothing tells them apart'
    return {
      backends: [{ backend: undefined, weight: 1 }],
      refs,
      invalid: new Map(rules.map((_, at) => [at, [{ path: `spec.rules[${at}]`, says }]])),
    }
  }
  const backends = rules[0]!.backendRefs.map((ref, at): WeightedBackend => {
    const found = resolve(ref, { kind: 'TCPRoute', namespace: namespaceOf(route) }, services, grants)
    if (found.backend === undefined) refs.push({ ...found, path: `spec.rules[0].backendRefs[${at}]` })
    return { backend: found.backend, weight: ref.weight }
  })
  const leads = backends.some(each => each.weight > 0)
  return { backends: leads ? backends : [{ backend: undefined, weight: 1 }], refs, invalid: new Map() }
}
