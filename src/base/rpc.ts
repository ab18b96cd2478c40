/** A remote procedure as plain description: what xds and identity declare, and io/grpc carries. */

export type MessageCodec<T> = { readonly encode: (message: T) => Uint8Array; readonly decode: (bytes: Uint8Array) => T }

/** path: `/package.Service/Method`. unary: one request, one reply. server-stream: one request, many replies. stream: both ways until either ends. */
export type Rpc<Request, Reply> = {
  readonly path: string
  readonly kind: 'unary' | 'client-stream' | 'server-stream' | 'stream'
  readonly request: MessageCodec<Request>
  readonly reply: MessageCodec<Reply>
}
