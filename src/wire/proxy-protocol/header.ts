/** What a PROXY header says, whichever version it is written in. */

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
