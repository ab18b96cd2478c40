/** A gRPC server on one TLS port where the client's certificate is optional, and verified when there is one. */

import { Server, ServerCredentials } from '@grpc/grpc-js'
import { constants } from 'node:crypto'
import { createServer, type SecureContextOptions, type TLSSocket } from 'node:tls'
import type { Log } from '#base/log'
import { listenError } from '../net.ts'
import { leave } from '../net/leave.ts'
import type { Identified, Proved } from './proved.ts'
import type { Door, Service } from './service.ts'
import { rpcCodes, RpcError } from './status.ts'
import { type KeyAndChain, presented } from './tls.ts'

export type GrpcServer = {
  readonly host: string
  readonly port: number
  add(service: Service): void
  /** Reads `certificate` and `clientRoots` again: new connections get them, open ones go on. Throws when they do not fit together; the old ones then stay. */
  setCertificate(): void
  readonly connections: number
  /** Judges the clients of all open connections again: those that are refused now are cut off, and those that were, so that they may try again. */
  expel(judge: (proved: Proved) => string | undefined): void
  /** Takes no new connection, tells open ones to go away, and after graceMs (default 0) cuts what is left. */
  close(graceMs?: number): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export type ServeGrpcOptions = {
  readonly host: string
  readonly port: number // 0: any free one
  readonly certificate: () => KeyAndChain
  /** PEM certificates of the roots that client chains may end in. */
  readonly clientRoots: () => readonly string[]
  /** certificates: DER as presented, leaf first. The private key is proved by then; everything else is to be judged here. */
  readonly identify: (certificates: readonly Uint8Array[]) => Identified
  readonly services: readonly Service[]
  readonly log: Log
}

const noCertificate = 'this call needs a client certificate and none was presented; get one with a join token first'

const maxReplyBytes = 64 * 1024 * 1024

/** Less than a reply: callers without a certificate may send one too. */
const maxRequestBytes = 16 * 1024 * 1024

/**
 * grpc-js itself either demands client certificates or asks for none. So the TLS server is ours, and finished TLS sockets are handed to
 * grpc-js (`createConnectionInjector`): we ask for a certificate, let the handshake end without one, judge it once per connection, and
 * rotate our own with `setSecureContext`, which leaves open connections alone.
 */
export async function serveGrpc(options: ServeGrpcOptions): Promise<GrpcServer> {
  const { log } = options
  const identities = new Map<string, Identified>() // by `address:port` of the client: what grpc-js calls its peer
  const sockets = new Set<TLSSocket>()
  const grpc = new Server({
    'grpc.max_receive_message_length': maxRequestBytes,
    'grpc.max_send_message_length': maxReplyBytes,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.enable_channelz': 0,
  })
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure()) // insecure: it adds no TLS of its own
  const door: Door = { log, admit: (address, open) => admit(identities.get(address), open) }
  for (const service of options.services) service.attach(grpc, door)

  const listener = createServer({
    ...context(options),
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: 20_000,
    noDelay: true,
  })
  listener.on('tlsClientError', (error, socket) => {
    log.debug('a TLS handshake failed', { from: socket.remoteAddress, reason: error.message })
    leave(socket)
  })
  listener.on('secureConnection', socket => {
    const address = `${socket.remoteAddress}:${socket.remotePort}`
    const identified = identify(socket, options)
    if (identified) identities.set(address, identified)
    if (identified && 'refused' in identified) log.warn('a client certificate is refused', { from: address, reason: identified.refused })
    sockets.add(socket)
    socket.on('error', error => log.debug('a connection broke', { from: address, reason: error.message }))
    socket.on('close', () => {
      sockets.delete(socket)
      if (identities.get(address) === identified) identities.delete(address)
    })
    injector.injectConnection(socket)
  })
  await new Promise<void>((resolve, reject) => {
    listener.once('error', error => reject(listenError(error, options.host, options.port)))
    listener.listen({ host: options.host, port: options.port, backlog: 4096 }, () => {
      listener.removeAllListeners('error')
      listener.on('error', error => log.error('the listener failed', { error }))
      resolve()
    })
  })
  const bound = listener.address()
  const port = typeof bound === 'object' && bound ? bound.port : options.port

  const close = async (graceMs = 0): Promise<void> => {
    const closed = new Promise<void>(resolve => listener.close(() => resolve()))
    const finished = new Promise<void>(resolve => grpc.tryShutdown(() => resolve()))
    const timer = setTimeout(() => {
      grpc.forceShutdown()
      for (const socket of sockets) socket.destroy()
    }, graceMs)
    await Promise.all([closed, finished])
    clearTimeout(timer)
  }
  return {
    host: options.host,
    port,
    add: service => service.attach(grpc, door),
    setCertificate: () => listener.setSecureContext(context(options)),
    expel: judge => {
      for (const socket of sockets) {
        const address = `${socket.remoteAddress}:${socket.remotePort}`
        const identified = identities.get(address)
        if (identified === undefined) continue
        // It comes again, and may be believed then.
        if ('refused' in identified) {
          socket.destroy()
          continue
        }
        const refused = judge(identified)
        if (refused === undefined) continue
        log.warn('the connection of a client is cut off', { from: address, peer: identified.peer, reason: refused })
        identities.set(address, { refused })
        socket.destroy()
      }
    },
    get connections() {
      return sockets.size
    },
    close,
    [Symbol.asyncDispose]: () => close(),
  }
}

/**
 * No session tickets: a resumed session carries the client's leaf without its chain, and skips judging a certificate that has expired since.
 */
function context(options: ServeGrpcOptions): SecureContextOptions {
  const { key, cert } = options.certificate()
  return { key, cert, ca: [...options.clientRoots()], minVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET }
}

/** Two judges must agree: `identify` (the rules of SPIFFE, with good words) and OpenSSL (the chain, again). */
function identify(socket: TLSSocket, options: ServeGrpcOptions): Identified | undefined {
  const certificates = presented(socket)
  if (certificates.length === 0) return undefined
  const identified = options.identify(certificates)
  if ('refused' in identified || socket.authorized) return identified
  // an intermediate that the client did not send may be known to `identify`: OpenSSL then fails only to find the issuer
  const reason = String(socket.authorizationError)
  if (reason.includes('UNABLE_TO_GET_ISSUER_CERT') || reason.includes('UNABLE_TO_VERIFY_LEAF_SIGNATURE')) return identified
  return { refused: `the client certificate is not trusted: ${reason}` }
}

function admit(identified: Identified | undefined, open: boolean): Proved | undefined {
  if (!identified) {
    if (open) return undefined
    throw new RpcError(rpcCodes.unauthenticated, noCertificate)
  }
  if ('refused' in identified) throw new RpcError(rpcCodes.unauthenticated, identified.refused)
  if (identified.notAfter < Date.now()) {
    throw new RpcError(
      rpcCodes.unauthenticated,
      `the client certificate of this connection expired at ${new Date(identified.notAfter).toISOString()}; connect again with a newer one`,
    )
  }
  return identified
}
