/** What a handler is given and what it answers. */

/** path: percent-encoded as it came, without query. headers: names in lower case, repeated ones joined. signal: aborted when the client is gone or the server closes. */
export type HttpRequest = {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  /** Address of the caller. */
  readonly address: string
  /** Whether it came over TLS. */
  readonly isSecure: boolean
  /** The client certificate with what came along, DER, leaf first; absent: none was shown. isTrusted: it leads to a root that was given, and has not expired. */
  readonly peer?: { readonly chain: readonly Uint8Array[]; readonly isTrusted: boolean }
  /** The whole body; rejects with BodyTooLarge. */
  body(): Promise<Uint8Array>
}

/** write: false when the reader is so far behind that the stream was cut; say no more then. */
export type Outlet = { write(text: string): boolean; end(): void }

export type HttpReply = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Uint8Array
  /** Instead of `body`: called once after the head is sent; the stream lasts until `end` or until `signal` of the request is aborted. */
  readonly stream?: (outlet: Outlet) => void
}

export type Handler = (request: HttpRequest) => HttpReply | Promise<HttpReply>
