/** Which block of loopback addresses a workload of this host has: two must not share one. */

import { listen, type Listening, type Socket } from '#io/net'
import { ownLoopback } from '#model/loopback'

const port = 15_001

/** A block belongs to whoever has its first address open, and for as long. Undefined: there is none to be had. */
export async function claimBlock(onSocket: (socket: Socket) => void): Promise<{ block: number; proxy: Listening } | undefined> {
  for (let block = 77; block < 127; block++) {
    const proxy = await listen(ownLoopback(block), port, onSocket).catch(() => undefined)
    if (proxy !== undefined) return { block, proxy }
  }
  return undefined
}
