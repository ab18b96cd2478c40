/**
 * The PROXY protocol, versions 1 and 2 (haproxy.org/download/3.2/doc/proxy-protocol.txt): what a balancer writes in front of a connection to say who
 * made it. It is not encrypted and not signed: read it only where its sender is trusted. No socket and no clock.
 */

import { readV1, writeV1 } from './proxy-protocol/v1.ts'
import { readV2, signature, writeV2 } from './proxy-protocol/v2.ts'

/** host: an IP address as text; an IPv6 one as of RFC 5952. */
export type Address = { readonly host: string; readonly port: number }
export type Ends = { readonly source: Address; readonly destination: Address }

/**
 * ends: undefined where the sender speaks for itself (LOCAL, as health checks do) or knows no addresses (UNKNOWN, UNSPEC, unix sockets): then the
 * connection's own count. authority, alpn: of the TLS that the sender took off. uniqueId: at most 128 bytes. Other TLVs are ignored.
 */
export type ProxyHeader = {
  readonly ends: Ends | undefined
  readonly authority?: string
  readonly alpn?: string
  readonly uniqueId?: Uint8Array
}

/** length: how many bytes the header took; what follows them is the connection's own. why: the rule that it breaks. */
export type ProxyRead =
  | { readonly kind: 'more' }
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly length: number }
  | { readonly kind: 'failed'; readonly why: string }

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
