/** What a server offers: procedures with their handlers, and who may call them. */

import type { sendUnaryData, Server, ServerDuplexStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js'
import type { Log } from '#base/log'
import type { Rpc } from '#base/rpc'
import type { Proved } from './proved.ts'
import { fromMetadata, RpcError, type RpcMetadata, type RpcStatus, rpcCodes, statusOf, toMetadata } from './status.ts'
import { asBuffer, type GrpcStream, type StreamEvents, streamOver } from './stream.ts'

/** Who calls. peer: what `identify` proved, such as a SPIFFE id; undefined only in services that are `open`. deadline: milliseconds since the epoch. */
export type Call = {
  readonly peer: string | undefined
  /** That by which the peer is known, for status pages. */
  readonly certificate: Pick<Proved, 'serial' | 'notAfter'> | undefined
  readonly metadata: RpcMetadata
  readonly deadline: number | undefined
  readonly address: string
}

/** open: callers without a certificate are let in too; the handler must ask for other proof. A bad certificate is refused even there. */
export type ServiceOptions = { readonly open?: boolean }

export type Service = { readonly path: string; readonly attach: (server: Server, door: Door) => void }

/** Judges one call by its connection: throws RpcError for one that may not come in. */
export type Door = { readonly admit: (address: string, open: boolean) => Proved | undefined; readonly log: Log }

/** grpc-js takes a falsy request for a missing one. */
type Boxed<Message> = { readonly message: Message }

/** One request, one reply. Throw RpcError to choose the status; anything else thrown is a bug: logged, and answered `internal`. */
export function unary<Request, Reply>(
  rpc: Rpc<Request, Reply>,
  handler: (request: Request, call: Call) => Promise<Reply> | Reply,
  options: ServiceOptions = {},
): Service {
  return {
    path: rpc.path,
    attach(server, door) {
      const handle = async (grpcCall: ServerUnaryCall<Boxed<Request>, Reply>, done: sendUnaryData<Reply>): Promise<void> => {
        try {
          done(null, await handler(grpcCall.request.message, callOf(grpcCall, door, options)))
        } catch (thrown) {
          done(told(thrown, rpc.path, door.log))
        }
      }
      const isFirst = server.register(
        rpc.path,
        handle,
        reply => asBuffer(rpc.reply.encode(reply)),
        bytes => ({ message: rpc.request.decode(bytes) }),
        'unary',
      )
      refuseSecond(isFirst, rpc.path)
    },
  }
}

/** grpc-js keeps the first handler of a path and says nothing. */
function refuseSecond(isFirst: boolean, path: string): void {
  if (!isFirst) throw new Error(`two services have the path ${path}`)
}

/** One request, and replies until the caller goes away, or the handler ends it. The handler returns what is to be done then. */
export function serverStream<Request, Reply>(
  rpc: Rpc<Request, Reply>,
  handler: (request: Request, out: Pick<GrpcStream<Reply>, 'send' | 'end'>, call: Call) => () => void,
  options: ServiceOptions = {},
): Service {
  return {
    path: rpc.path,
    attach(server, door) {
      const handle = (writable: ServerWritableStream<Boxed<Request>, Reply>): void => {
        const fail = (thrown: unknown): void => void writable.emit('error', told(thrown, rpc.path, door.log))
        try {
          const out = {
            send: (message: Reply) => (writable.writableEnded || writable.destroyed ? true : writable.write(message)),
            end: (status: RpcStatus = { code: rpcCodes.ok, details: '' }) =>
              status.code === rpcCodes.ok ? void writable.end() : fail(new RpcError(status.code, status.details)),
          }
          const stop = handler(writable.request.message, out, callOf(writable, door, options))
          writable.on('cancelled', stop)
        } catch (thrown) {
          fail(thrown)
        }
      }
      const isFirst = server.register(
        rpc.path,
        handle,
        reply => asBuffer(rpc.reply.encode(reply)),
        bytes => ({ message: rpc.request.decode(bytes) }),
        'serverStream',
      )
      refuseSecond(isFirst, rpc.path)
    },
  }
}

/** Streams both ways; also for `client-stream` rpcs, which look the same on the wire. The handler returns what it wants to be told. */
export function stream<Request, Reply>(
  rpc: Rpc<Request, Reply>,
  handler: (stream: GrpcStream<Reply>, call: Call) => StreamEvents<Request>,
  options: ServiceOptions = {},
): Service {
  return {
    path: rpc.path,
    attach(server, door) {
      const handle = (duplex: ServerDuplexStream<Request, Reply>): void => openStream(duplex, rpc, handler, options, door)
      const isFirst = server.register(
        rpc.path,
        handle,
        reply => asBuffer(rpc.reply.encode(reply)),
        bytes => rpc.request.decode(bytes),
        'bidi',
      )
      refuseSecond(isFirst, rpc.path)
    },
  }
}

/** How long after an end of stream the reset is waited for that would make it a cancellation. */
const resetFollowsMs = 30

function openStream<Request, Reply>(
  duplex: ServerDuplexStream<Request, Reply>,
  rpc: Rpc<Request, Reply>,
  handler: (stream: GrpcStream<Reply>, call: Call) => StreamEvents<Request>,
  options: ServiceOptions,
  door: Door,
): void {
  const fail = (thrown: unknown): void => void duplex.emit('error', told(thrown, rpc.path, door.log)) // grpc-js sends it as the status
  const guarded = (run: () => void): void => {
    try {
      run()
    } catch (thrown) {
      fail(thrown)
    }
  }
  let isOver = false
  const end = (status: RpcStatus = { code: rpcCodes.ok, details: '' }): void => {
    if (status.code === rpcCodes.ok) duplex.end()
    else fail(new RpcError(status.code, status.details))
  }
  guarded(() => {
    const call = callOf(duplex, door, options)
    const events = handler(
      streamOver(duplex, { end, cancel: () => end({ code: rpcCodes.cancelled, details: 'the server gave the call up' }) }),
      call,
    )
    const over = (status: RpcStatus): void => {
      if (isOver) return
      isOver = true
      guarded(() => events.end(status))
    }
    duplex.on('data', (message: Request) => guarded(() => events.message(message)))
    duplex.on('drain', () => guarded(() => events.drain?.()))
    const gone = { code: rpcCodes.cancelled, details: 'the caller is gone' }
    // a reset reads as an ordinary end at first: `cancelled` follows at once, but maybe in the next TLS record and so in a later turn
    duplex.on('end', () => setTimeout(() => over(duplex.cancelled ? gone : { code: rpcCodes.ok, details: '' }), resetFollowsMs))
    duplex.on('cancelled', () => over(gone))
  })
}

function callOf(
  grpcCall: Pick<ServerUnaryCall<unknown, unknown>, 'getPeer' | 'metadata' | 'getDeadline'>,
  door: Door,
  options: ServiceOptions,
): Call {
  const address = grpcCall.getPeer()
  const deadline = Number(grpcCall.getDeadline())
  const certificate = door.admit(address, options.open === true)
  return {
    peer: certificate?.peer,
    certificate,
    metadata: fromMetadata(grpcCall.metadata),
    deadline: Number.isFinite(deadline) ? deadline : undefined,
    address,
  }
}

function told(thrown: unknown, path: string, log: Log) {
  if (!(thrown instanceof RpcError)) log.error('a bug ended a call', { path, error: thrown })
  const status = statusOf(thrown)
  return Object.assign(new Error(status.details), status, { metadata: toMetadata() })
}
