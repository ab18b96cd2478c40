/** Of the two views of one edge, which is believed: the caller's proxy sees also what never arrived, so it wins; the called one's stands for callers outside. */

import type { MetricSource } from '#model/metrics'
import type { Edge } from './edge.ts'
import { pairKey } from './edge.ts'

/** The edges to show, each with the identities that either side proved. */
export function chooseEdges(edges: readonly Edge[], sources: readonly MetricSource[]): readonly Edge[] {
  const outbound = new Map(edges.filter(edge => edge.direction === 'outbound').map(edge => [pairKey(edge), edge]))
  const inbound = new Map(edges.filter(edge => edge.direction === 'inbound').map(edge => [pairKey(edge), edge]))
  const ownIdentities = new Set(sources.map(source => source.identity))
  const chosen = [...outbound].map(([key, edge]) => complete(edge, inbound.get(key)))
  for (const edge of edges) {
    if (edge.direction !== 'inbound' || outbound.has(pairKey(edge))) continue
    // The called side guesses the caller's name; when the identity belongs to a proxy that pushes, it is counted there under its right name.
    if (edge.sourceIdentity !== '' && ownIdentities.has(edge.sourceIdentity)) continue
    chosen.push(edge)
  }
  return chosen
}

const complete = (edge: Edge, other: Edge | undefined): Edge =>
  other === undefined
    ? edge
    : {
        ...edge,
        sourceIdentity: edge.sourceIdentity || other.sourceIdentity,
        destinationIdentity: edge.destinationIdentity || other.destinationIdentity,
        mtls: edge.mtls || other.mtls,
      }
