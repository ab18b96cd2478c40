/** What is known of a connection by its first bytes. */

/** `more`: not decided yet, ask again with more bytes. `sni` (lower case) and `alpn` only with `tls`, and only if the client named them. */
export type Detected = {
  readonly kind: 'http1' | 'http2' | 'tls' | 'opaque' | 'more'
  readonly sni?: string
  readonly alpn?: readonly string[]
}
