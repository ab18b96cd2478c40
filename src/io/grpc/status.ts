/** How a gRPC call ended, in numbers and words (grpc/doc/statuscodes.md), and the headers that travel with calls. */

import { Metadata } from '@grpc/grpc-js'

export const rpcCodes = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** code: one of `rpcCodes`, or another from the wire. details: for people. */
export type RpcStatus = { readonly code: number; readonly details: string }

/** Names lower case. Of a name that came twice, the first. Binary headers (`-bin`) are left out. */
export type RpcMetadata = Readonly<Record<string, string>>

/** A call that did not end well: a handler throws it to choose the status, and `unary` rejects with it. */
export class RpcError extends Error {
  readonly code: number
  constructor(code: number, details: string) {
    super(details)
    this.name = 'RpcError'
    this.code = code
  }
  get status(): RpcStatus {
    return { code: this.code, details: this.message }
  }
}

/** Anything thrown, as a status. A bug is `internal`; its message stays here and is not sent. */
export function statusOf(thrown: unknown): RpcStatus {
  return thrown instanceof RpcError
    ? thrown.status
    : { code: rpcCodes.internal, details: 'the server failed on this call; its log says more' }
}

export function fromMetadata(metadata: Metadata): RpcMetadata {
  const plain: Record<string, string> = {}
  for (const [name, value] of Object.entries(metadata.getMap())) if (typeof value === 'string') plain[name] = value
  return plain
}

export function toMetadata(plain: RpcMetadata = {}): Metadata {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(plain)) metadata.set(name, value)
  return metadata
}
