/** A channel to one gRPC server: it connects when first used, again with back-off when cut, and notices a frozen server in about 20 seconds. */

import { Client, type ClientOptions, credentials, type ServiceError } from '@grpc/grpc-js'
import { isIPv6 } from 'node:net'
import type { Rpc } from '#base/rpc'
import { RpcError, type RpcMetadata, type RpcStatus, toMetadata } from './status.ts'
import { asBuffer, type GrpcStream, type StreamEvents, streamOver } from './stream.ts'
import { type ClientTls, LiveCredentials } from './tls.ts'

export type CallOptions = { readonly metadata?: RpcMetadata; readonly timeoutMs?: number }

export type GrpcChannel = {
  /** Rejects with RpcError; `unavailable` at once when the server cannot be reached. timeoutMs: default 10 s. */
  unary<Request, Reply>(rpc: Rpc<Request, Reply>, request: Request, options?: CallOptions): Promise<Reply>
  /** Also for `client-stream` rpcs. timeoutMs: default none. */
  stream<Request, Reply>(rpc: Rpc<Request, Reply>, events: StreamEvents<Reply>, options?: CallOptions): GrpcStream<Request>
  /** Calls from now on go over a new connection, with the newest certificate; open ones stay on theirs until they end. */
  renew(): void
  /** Takes no new calls. Open ones end by themselves: cancel them first. */
  close(): void
}

const maxMessageBytes = 64 * 1024 * 1024
const settings: ClientOptions = {
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': maxMessageBytes,
  'grpc-node.flow_control_window': 4 * 1024 * 1024,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.use_local_subchannel_pool': 1, // a connection carries an identity: never shared between channels
  'grpc.enable_http_proxy': 0, // HTTP_PROXY is for the workload, not for the mesh
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_retries': 0, // would keep every message of a stream in memory; who calls decides about trying again
  'grpc.enable_channelz': 0,
}

/** frozenMs: a server that is silent for so long is asked for a sign of life, and left after as long again; default 10 s. */
export type ConnectGrpcOptions = ClientTls & { readonly frozenMs?: number }

export function connectGrpc(options: ConnectGrpcOptions): GrpcChannel {
  const { frozenMs = 10_000, ...tls } = options
  const target = `dns:${isIPv6(tls.host) ? `[${tls.host}]` : tls.host}:${tls.port}`
  return channelOver(
    () =>
      new Client(target, new LiveCredentials(tls), {
        ...settings,
        'grpc.keepalive_time_ms': frozenMs,
        'grpc.keepalive_timeout_ms': frozenMs,
      }),
  )
}

/** To a server at a Unix socket, in plaintext: the kernel tells it who calls. */
export const connectLocal = (path: string): GrpcChannel =>
  channelOver(() => new Client(`unix:${path}`, credentials.createInsecure(), settings))

function channelOver(open: () => Client): GrpcChannel {
  let client = open()
  const streams = new WeakMap<Client, number>()
  return {
    unary(rpc, request, options = {}) {
      return new Promise((resolve, reject) => {
        const deadline = Date.now() + (options.timeoutMs ?? 10_000)
        const done = (error: ServiceError | null, reply?: Parameters<typeof resolve>[0]): void => {
          if (error) reject(new RpcError(error.code, error.details))
          else resolve(reply!)
        }
        client.makeUnaryRequest(
          rpc.path,
          message => asBuffer(rpc.request.encode(message)),
          bytes => rpc.reply.decode(bytes),
          request,
          toMetadata(options.metadata),
          { deadline },
          done,
        )
      })
    },
    stream(rpc, events, options = {}) {
      const own = client
      streams.set(own, (streams.get(own) ?? 0) + 1)
      const end: typeof events.end = status => {
        const left = streams.get(own)! - 1
        streams.set(own, left)
        if (left === 0 && own !== client) own.close()
        events.end(status)
      }
      return openStream(own, rpc, { ...events, end }, options)
    },
    renew() {
      const old = client
      client = open()
      // To close it would end its streams, and in an order that looks as if this end had wanted it.
      if ((streams.get(old) ?? 0) === 0) old.close()
    },
    close: () => client.close(),
  }
}

function openStream<Request, Reply>(
  client: Client,
  rpc: Rpc<Request, Reply>,
  events: StreamEvents<Reply>,
  options: CallOptions,
): GrpcStream<Request> {
  const deadline = options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs }
  const duplex = client.makeBidiStreamRequest<Request, Reply>(
    rpc.path,
    message => asBuffer(rpc.request.encode(message)),
    bytes => rpc.reply.decode(bytes),
    toMetadata(options.metadata),
    deadline,
  )
  duplex.on('data', (message: Reply) => events.message(message))
  duplex.on('drain', () => events.drain?.())
  duplex.on('error', () => {}) // the status says the same, and always comes
  duplex.on('status', ({ code, details }: RpcStatus) => {
    const end = (): void => events.end({ code, details })
    if (duplex.readableLength > 0)
      duplex.once('end', end) // paused: what came before the end is told before it
    else end()
  })
  return streamOver(duplex, { end: () => void duplex.end(), cancel: () => duplex.cancel() })
}
