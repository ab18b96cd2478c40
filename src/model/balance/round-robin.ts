/** One after the other; heavier ones more often, spread evenly. */

import type { Endpoint } from '../backend.ts'
import { ByWeight } from './by-weight.ts'
import { drawn } from './picker.ts'

/** A golden-ratio step visits the line of weights evenly, so that heavy endpoints are not hit in bursts. */
const step = 0.618033988749895

export class RoundRobin extends ByWeight {
  protected next(): Endpoint {
    const turn = this.around.turn++
    return this.endpoints[this.sums === undefined ? turn % this.endpoints.length : drawn(this.sums, (turn * step) % 1)]!
  }

  protected among(left: readonly Endpoint[]): Endpoint | undefined {
    return left[this.around.turn++ % left.length]
  }
}
