/** How the endpoints of a service port are chosen: what a BackendPolicy says of it in the words of the view, and which of them are near a proxy. */

import type { Backend, Balancing, Endpoint, EndpointSet, Locality } from '#model/backend'
import type { Near } from '#model/mesh'
import type { HashOn } from '#model/route'
import { durationMs } from '#resources/duration'
import type { BackendPolicySpec, MeshSpec } from '#resources/weft'

/** hash: by what requests are recognised; empty: by nothing. */
export type Choosing = Pick<Backend, 'balance' | 'balancing'> & { readonly hash: readonly HashOn[]; readonly near: Near | undefined }

const names = {
  RoundRobin: 'round-robin',
  Random: 'random',
  LeastRequest: 'least-request',
  PeakEWMA: 'peak-ewma',
  RingHash: 'ring-hash',
  Maglev: 'maglev',
} as const

type Said = Partial<Omit<BackendPolicySpec, 'targetRefs'>> | NonNullable<MeshSpec['defaults']>

/** The algorithm and what belongs to it go together; panic and locality stand for themselves. */
export function choosingOf(wider: Choosing, said: Said | undefined): Choosing {
  if (said === undefined) return wider
  const own: Partial<Omit<BackendPolicySpec, 'targetRefs'>> = said
  const { panicPercent: widerPanic, ...widerRest } = wider.balancing ?? {}
  const rest: Balancing =
    own.balance === undefined
      ? widerRest
      : {
          ...(own.choices === undefined ? {} : { choices: typeof own.choices === 'number' ? own.choices : ('all' as const) }),
          ...(own.slowStart === undefined || durationMs(own.slowStart) === 0 ? {} : { slowStartMs: durationMs(own.slowStart) }),
        }
  const panicPercent = own.panicThreshold ?? widerPanic ?? 0
  const balancing: Balancing = { ...rest, ...(panicPercent > 0 ? { panicPercent } : {}) }
  return {
    balance: own.balance === undefined ? wider.balance : names[own.balance],
    ...(Object.keys(balancing).length > 0 ? { balancing } : {}),
    hash: own.balance === undefined ? wider.hash : (own.hash ?? []).map(hashOn),
    near: own.locality === undefined ? wider.near : nearOf(own.locality),
  }
}

function hashOn({ header, query, cookie }: NonNullable<BackendPolicySpec['hash']>[number]): HashOn {
  if (header !== undefined) return { type: 'header', name: header.toLowerCase() }
  if (query !== undefined) return { type: 'query', name: query }
  if (cookie !== undefined)
    return { type: 'cookie', name: cookie.name, ...(cookie.ttl === undefined ? {} : { ttlMs: durationMs(cookie.ttl), path: cookie.path }) }
  return { type: 'source-ip' }
}

function nearOf({ prefer, failover }: NonNullable<BackendPolicySpec['locality']>): Near | undefined {
  if (prefer === 'None') return undefined
  const place = ({ Region: 'region', Zone: 'zone', Host: 'host' } as const)[prefer]
  return { place, ...(failover === undefined ? {} : { failover }) }
}

const places = ['region', 'zone', 'host'] as const

/** A set that did not change is the same object for every proxy of one place, so that it is encoded once. */
const known = new WeakMap<EndpointSet, Map<string, EndpointSet>>()

/** The set as a proxy sees it that runs there: the same object where all are equally near. */
export function byNearness(set: EndpointSet, near: Near, own: Locality): EndpointSet {
  const kept = known.get(set) ?? new Map<string, EndpointSet>()
  known.set(set, kept)
  const key = JSON.stringify([near, own])
  const found = kept.get(key) ?? ranked(set, near, own)
  kept.set(key, found)
  return found
}

function ranked(set: EndpointSet, { place, failover = [] }: Near, own: Locality): EndpointSet {
  const narrowest = places.indexOf(place)
  const ranks = set.endpoints.map(endpoint => rankOf(endpoint.locality, own, narrowest, failover))
  // Without gaps from 0 on, as Envoy wants it.
  const used = [...new Set(ranks)].sort((a, b) => a - b)
  if (used.length < 2) return set
  return {
    backend: set.backend,
    endpoints: set.endpoints.map((endpoint, at): Endpoint => {
      const priority = used.indexOf(ranks[at]!)
      return priority === 0 ? endpoint : { ...endpoint, priority }
    }),
  }
}

/** 0: in the same narrowest place; then wider ones; then other regions in their order. */
function rankOf(of: Locality | undefined, own: Locality, narrowest: number, failover: readonly string[]): number {
  for (let wider = 0; wider <= narrowest; wider++) if (of !== undefined && isSame(of, own, narrowest - wider)) return wider
  const at = of === undefined ? -1 : failover.indexOf(of.region)
  return places.length + (at < 0 ? failover.length : at)
}

/** In the same place and in all wider ones; a place without a name is nobody's. */
const isSame = (one: Locality, other: Locality, narrowest: number): boolean =>
  (one[places[narrowest]!] ?? '') !== '' && places.slice(0, narrowest + 1).every(place => (one[place] ?? '') === (other[place] ?? ''))
