/** Integers with a prefix, RFC 7541 §5.1: written here; read in decode.ts, where the place in the block is kept. */

/** Puts `value` behind the bits of `pattern`, of which the low `bits` are free. Returns the place after it. */
export function putInteger(into: Uint8Array, at: number, pattern: number, bits: number, value: number): number {
  const most = (1 << bits) - 1
  if (value < most) {
    into[at] = pattern | value
    return at + 1
  }
  into[at++] = pattern | most
  let rest = value - most
  for (; rest > 127; rest >>>= 7) into[at++] = (rest & 127) | 128
  into[at] = rest
  return at + 1
}
