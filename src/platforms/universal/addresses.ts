/** Virtual IPs of services and of workloads: from the name where nothing is in the way, so that what is made again gets its old address. */

import { virtualBlocks } from '#model/virtual'

const first = 16 // of 240.77.0.0/16 0.0 to 0.15 are left to the machinery of namespaces
const size = 65_535 - first // the last, 255.255, is left out too

/** key: `NAMESPACE/NAME`. Throws when all are taken. */
export function virtualAddress(of: 'service' | 'workload', key: string, taken: (address: string) => boolean): string {
  const block = virtualBlocks[of]
  const start = hash(key) % size
  for (let step = 0; step < size; step++) {
    const host = first + ((start + step) % size)
    const address = `${block}.${host >> 8}.${host & 255}`
    if (!taken(address)) return address
  }
  throw new Error(`all virtual IPs of ${block}.0.0/16 are taken: delete ${of}s that are no longer used`)
}

/** Whether it may be the address of a Service: any other would take traffic of the whole mesh that is for somebody else. */
export function isServiceAddress(address: string): boolean {
  const [, high, low] = /^240\.77\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(address) ?? []
  const host = Number(high) * 256 + Number(low)
  return Number(high) <= 255 && Number(low) <= 255 && host >= first && host < first + size
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return value >>> 0
}
