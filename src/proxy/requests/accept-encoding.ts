/** Which coding an answer gets (RFC 9110 §12.5.3). */

import type { Coding } from '#model/compression'

const aliases: Readonly<Record<string, string>> = { 'x-gzip': 'gzip' }

/**
 * codings: those that there are, the best first; of what the caller likes equally that one is taken. undefined: the body stays as it is, which is also
 * what a caller gets who says nothing, and one whom nothing suits.
 */
export function chooseCoding(accepted: string | undefined, codings: readonly Coding[]): Coding | undefined {
  if (accepted === undefined) return undefined
  const liking = new Map<string, number>()
  for (const item of accepted.toLowerCase().split(',')) {
    const [, name, weight] = /^\s*([^\s;]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?$/.exec(item) ?? []
    if (name === undefined) continue
    const known = aliases[name] ?? name
    if (!liking.has(known)) liking.set(known, weight === undefined ? 1 : Number(weight))
  }
  const rest = liking.get('*') ?? 0
  let found: Coding | undefined
  let most = 0
  for (const coding of codings) {
    const much = liking.get(coding) ?? rest
    if (much > most) [found, most] = [coding, much]
  }
  return (liking.get('identity') ?? 0) > most ? undefined : found
}
