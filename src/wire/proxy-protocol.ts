/**
 * The PROXY protocol, versions 1 and 2 (haproxy.org/download/3.2/doc/proxy-protocol.txt): what a balancer writes in front of a connection to say who
 * made it. It is not encrypted and not signed: read it only where its sender is trusted. No socket and no clock.
 */

import type { Ends, ProxyHeader, ProxyRead } from './proxy-protocol/header.ts'
import { readV1, writeV1 } from './proxy-protocol/v1.ts'
import { readV2, signature, writeV2 } from './proxy-protocol/v2.ts'

export type { Address, Ends, ProxyHeader, ProxyRead } from './proxy-protocol/header.ts'

/** bytes: all that came since the connection began. Never throws; at most 4,112 bytes are waited for. Without a header it fails at the first byte that tells. */
export function readProxyHeader(bytes: Uint8Array): ProxyRead {
  if (bytes.length === 0) return { kind: 'more' }
  return bytes[0] === signature[0] ? readV2(bytes) : readV1(bytes)
}

/** ends: both of one family, otherwise, and where undefined, the header says that nothing is known. Throws on what is no address. */
export function writeProxyHeader(
  version: 'v1' | 'v2',
  ends: Ends | undefined,
  tlvs: Pick<ProxyHeader, 'authority' | 'uniqueId'> = {},
): Uint8Array {
  return version === 'v1' ? writeV1(ends) : writeV2(ends, tlvs)
}
