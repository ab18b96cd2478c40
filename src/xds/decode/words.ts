/**
 * The words of ours that this version of the proxy knows, by where they stand. Another may be one that keeps somebody out, of a newer control plane, and is refused; a word that
 * ends in `?` says by that that it may be passed over.
 */

import type { JsonObject } from '@bufbuild/protobuf'
import type { Metadata } from '../gen/envoy/config/core/v3/base_pb.ts'
import { weftMetadata } from '../types.ts'
import { refuse } from './carried.ts'

const known = {
  // Labels.
  listener: [
    'service',
    'protocol',
    'direction',
    'listener',
    'egress',
    'backends',
    'token-algorithms',
    'token-bound',
    'tells-why',
    'tracing',
  ],
  route: ['origin', 'reason', 'detail', 'egress', 'hedge'],
  cluster: ['service', 'port', 'protocol', 'external', 'tlsInside', 'retryConstraint', 'tooManyRequests'],
  endpoint: ['workload'],
  // Extensions.
  fault: ['policy', 'endsAt', 'jitterMs', 'spread', 'reset', 'lineShare', 'requestsBps', 'answersBps'],
  bytesFault: [
    'policy',
    'endsAt',
    'delayMs',
    'delayShare',
    'jitterMs',
    'spread',
    'reset',
    'drop',
    'lineShare',
    'requestsBps',
    'answersBps',
  ],
  sizes: ['bodyBytes', 'headerCount', 'headerBytes'],
  compression: ['codings', 'minBytes', 'types', 'requestCoding', 'requestMinBytes', 'requestTypes', 'takesCodedBytes'],
  rewrite: ['type', 'value', 'pattern', 'substitution', 'hostHeader', 'hostPattern', 'hostSubstitution'],
  login: ['policy'],
  logins: ['policies'],
  limit: ['name', 'requests', 'intervalMs', 'burst', 'by', 'overrides'],
  quota: ['name', 'failsOpen', 'descriptors', 'rate'],
  nothing: [],
} as const satisfies Record<string, readonly string[]>

export type WordsOf = keyof typeof known

export function checkWords(said: Readonly<Record<string, unknown>>, of: WordsOf, where: string): void {
  const words: readonly string[] = known[of]
  for (const word in said)
    if (!words.includes(word) && !word.endsWith('?')) refuse(`${where}.${word}`, 'unknown to this version of the proxy')
}

/** Weft's labels; those of others say nothing to the proxy. of: what they are labels of. */
export function labelsOf(metadata: Metadata | undefined, of: WordsOf): JsonObject {
  const labels = metadata?.filterMetadata[weftMetadata]
  if (labels === undefined) return {}
  checkWords(labels, of, `metadata["${weftMetadata}"]`)
  return labels
}

export const textLabel = (labels: JsonObject, name: string): string | undefined =>
  typeof labels[name] === 'string' ? labels[name] : undefined
