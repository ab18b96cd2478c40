/** Of a Service, whom its callers leave out and which limits are used, in lines. */

import type { Client } from '#api/client'
import type { Resilience } from '#api/mesh-api'
import type { Resource } from '#resources/kind'
import { tellSpan } from '../moment.ts'

/** Nothing where nothing is asked for. now: ms. */
export async function sparingLines(
  client: Pick<Client, 'resilience'>,
  { kind, metadata }: Resource,
  now: number,
): Promise<readonly string[]> {
  if (kind !== 'Service') return []
  return linesOf(await client.resilience(`${metadata.name}.${metadata.namespace ?? 'default'}`), now)
}

export const linesOf = ({ leftOut, limits, concurrency }: Resilience, now: number): readonly string[] => [
  ...leftOut.map(
    ({ workload, address, backend, cause, proxy, until }) =>
      `${workload} (${address}) of ${backend} is left out by ${proxy} for ${tellSpan(Math.max(0, Date.parse(until) - now))} more: ${cause}`,
  ),
  ...limits.map(
    ({ limit, backend, proxy, most, used, isOpen }) =>
      `limits.${limit} of ${proxy} to ${backend}: ${used} of ${most}${isOpen ? ', no more is taken' : ''}`,
  ),
  ...concurrency.map(
    ({ proxy, listener, limit, used, roundTripMs }) =>
      `${proxy} gives ${listener} ${limit} at once${roundTripMs === 0 ? '' : ` (an answer takes ${Math.round(roundTripMs)} ms without a queue)`}, ${used} under way`,
  ),
]
