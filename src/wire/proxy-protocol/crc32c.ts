/** CRC-32C (Castagnoli, RFC 3720 appendix B.4) over a header whose own four bytes of checksum count as zero. */

/** zeroAt: where those four bytes begin. Unsigned. */
export function crc32c(bytes: Uint8Array, zeroAt: number): number {
  let crc = 0xffffffff
  for (let at = 0; at < bytes.length; at++) {
    crc ^= at >= zeroAt && at < zeroAt + 4 ? 0 : bytes[at]!
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}
