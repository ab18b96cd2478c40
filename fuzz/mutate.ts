/** Small damage to bytes, as fuzz targets do it: cut out, double, put in, change. */

import type { Random } from './random.ts'

/** pieces: bytes that mean something in one place, to be put into others. */
export function mutate(random: Random, bytes: Uint8Array, pieces: readonly Uint8Array[]): Uint8Array {
  let made = bytes
  for (let times = random.pick([0, 0, 1, 1, 1, 2, 5]); times > 0; times--) {
    const at = random.below(made.length + 1)
    const rest = made.subarray(at + (random.chance(0.5) ? 0 : 1 + random.below(4)))
    made = Buffer.concat([made.subarray(0, at), random.chance(0.3) ? new Uint8Array(0) : random.pick(pieces), rest])
  }
  return made
}
