/** A stream of messages both ways, over either end's Duplex of grpc-js. */

import type { RpcStatus } from './status.ts'

export interface GrpcStream<Out> {
  /** False: the peer reads slower than you write; the message is kept, but hold the next until `drain`. After the end it is dropped. */
  send(message: Out): boolean
  /** Messages taken by `send` and not yet handed to the connection. */
  readonly queued: number
  /** Client: nothing more to send. Server: the call is over, with this status (default OK). */
  end(status?: RpcStatus): void
  /** Client: give the call up at once; `end` follows with CANCELLED. Server: the same as `end` with CANCELLED. */
  cancel(): void
  /** Stop and go on reading: unread messages hold the peer back by HTTP/2 flow control. */
  pause(): void
  resume(): void
}

/** What the owner of a stream is told. `end` comes exactly once and last. */
export type StreamEvents<In> = {
  message(message: In): void
  /** Client: the status of the call. Server: OK when the caller has sent its last message, CANCELLED when it is gone. */
  end(status: RpcStatus): void
  drain?(): void
}

/** The part of ClientDuplexStream and ServerDuplexStream that a GrpcStream stands on. */
type Duplex = {
  write(message: unknown): boolean
  pause(): unknown
  resume(): unknown
  readonly writableLength: number
  readonly writableEnded: boolean
  readonly destroyed: boolean
}

export function streamOver<Out>(
  duplex: Duplex,
  close: { readonly end: (status?: RpcStatus) => void; readonly cancel: () => void },
): GrpcStream<Out> {
  return {
    send: message => (duplex.writableEnded || duplex.destroyed ? true : duplex.write(message)),
    get queued() {
      return duplex.writableLength
    },
    end: close.end,
    cancel: close.cancel,
    pause: () => void duplex.pause(),
    resume: () => void duplex.resume(),
  }
}

/** grpc-js wants a Buffer; this one shares the memory. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
