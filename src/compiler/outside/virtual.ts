/** Virtual IPs of hosts outside the mesh, 240.79.0.0/16: from the name where nothing is in the way, so that a host has the same one everywhere and always. */

const size = 65_534

/** Throws when all are taken. */
export function externalAddress(host: string, taken: (address: string) => boolean): string {
  const start = hash(host) % size
  for (let step = 0; step < size; step++) {
    const place = 1 + ((start + step) % size)
    const address = `240.79.${place >> 8}.${place & 255}`
    if (!taken(address)) return address
  }
  throw new Error('all virtual IPs of 240.79.0.0/16 are taken: delete ExternalServices that are no longer used')
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return value >>> 0
}
