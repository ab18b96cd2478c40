/** TCP and TLS sockets: listening, dialling, handshakes. What comes out are ordinary sockets, half-open allowed, without Nagle's delay. */

import { constants, type X509Certificate } from 'node:crypto'
import net from 'node:net'
import tls from 'node:tls'
import { leave } from './net/leave.ts'
import { optionsOf, type Terms } from './net/terms.ts'
import { resetOnClose } from './sockopt.ts'

export { type Count, pour } from './net/pour.ts'
export { edgeAcceptor, refuseName } from './net/edge.ts'
export { originate } from './net/originate.ts'
export { readBytes } from './net/read-bytes.ts'
export { type Agreed, agreedOn, type Terms } from './net/terms.ts'

export type Socket = net.Socket
export type SecureContext = tls.SecureContext

export type Listening = AsyncDisposable & {
  readonly host: string
  readonly port: number /** Stops accepting; open connections go on. */
  stop(): void
}

/** How sockets arrive, whoever owns the one that is listened on. */
export const acceptOptions = { pauseOnConnect: true, allowHalfOpen: true, noDelay: true } as const

const servers = new WeakMap<Listening, net.Server>()
/** For handing it to another process. Throws when it was not opened here. */
export function serverOf(listening: Listening): net.Server {
  const server = servers.get(listening)
  if (server === undefined) throw new Error(`${listening.host}:${listening.port} was not opened by this process`)
  return server
}

/** port 0: any free one. Rejects with a sentence that names the port and what to do. Sockets arrive paused. */
export function listen(host: string, port: number, onSocket: (socket: Socket) => void): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const server = net.createServer(acceptOptions, onSocket)
    server.once('error', error => reject(listenError(error, host, port)))
    server.listen({ host, port, backlog: 1024 }, () => {
      const { port: bound } = server.address() as net.AddressInfo
      server.on('error', () => {})
      const stop = () => server.close()
      const listening = { host, port: bound, stop, [Symbol.asyncDispose]: () => new Promise<void>(done => server.close(() => done())) }
      servers.set(listening, server)
      resolve(listening)
    })
  })
}

export function listenError(error: Error, host: string, port: number): Error {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'EADDRINUSE')
    return new Error(`port ${port} on ${host} is in use by another program: stop it, or choose another port (0 takes any free one)`)
  if (code === 'EACCES') return new Error(`port ${port} on ${host} may only be opened by root: choose a port above 1023`)
  if (code === 'EADDRNOTAVAIL') return new Error(`the address ${host} is not one of this machine's`)
  return new Error(`cannot listen on ${host}:${port}: ${error.message}`)
}

/** Not yet connected: `connect` or `error` follows. */
export const dialTcp = (host: string, port: number): Socket =>
  net.connect({ host, port, noDelay: true, allowHalfOpen: true, autoSelectFamily: false })

/** resumes: false: each handshake is a whole one, which a chain is needed of to judge by. */
export type TlsMaterial = { readonly key: string; readonly cert: string; readonly roots: readonly string[]; readonly resumes?: false }

/** One per certificate: making it parses the key (0.3 ms), so keep it. */
export const secureContext = (material: TlsMaterial, terms?: Terms): SecureContext => tls.createSecureContext(materialOf(material, terms))

/** terms: absent: TLS 1.3 as Node has it. */
const materialOf = ({ key, cert, roots }: TlsMaterial, terms: Terms | undefined): tls.SecureContextOptions => ({
  key,
  cert,
  ca: [...roots],
  ...(terms === undefined ? { minVersion: 'TLSv1.3' } : optionsOf(terms)),
})

/** Client side of mutual TLS over a socket that may still be connecting. The chain is checked against the roots; the identity is the caller's to check. `secureConnect` or `error` follows. */
export function secureClient(socket: Socket, context: SecureContext, alpn: readonly string[], servername: string): tls.TLSSocket {
  return tls.connect({
    socket,
    secureContext: context,
    servername,
    checkServerIdentity: () => undefined,
    rejectUnauthorized: true,
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
  })
}

export type SecureAcceptor = {
  /** Starts the handshake on an accepted socket. */
  accept(socket: Socket): void
  /** New connections get the new certificate and roots, and agree on other terms; open ones go on. */
  renew(material: TlsMaterial, terms?: Terms): void
}

/** Server side of mutual TLS 1.3: a client certificate is demanded and its chain checked against the roots. Handshakes end within ten seconds, either way. */
export function secureAcceptor(
  material: TlsMaterial,
  alpn: readonly string[],
  onSecure: (socket: tls.TLSSocket) => void,
  onFailed: (why: string) => void,
  terms?: Terms,
): SecureAcceptor {
  const options = (own: TlsMaterial, on: Terms | undefined): tls.SecureContextOptions => ({
    ...materialOf(own, on),
    ...(own.resumes === false ? { secureOptions: constants.SSL_OP_NO_TICKET } : {}),
  })
  const server = tls.createServer({
    ...options(material, terms),
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: 10_000,
    pauseOnConnect: true,
    allowHalfOpen: true,
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
  })
  server.on('secureConnection', onSecure)
  server.on('tlsClientError', (error, socket) => {
    onFailed(String(socket.authorizationError ?? (error as NodeJS.ErrnoException).code ?? error.message))
    leave(socket)
  })
  return {
    accept: socket => void server.emit('connection', socket),
    renew: (fresh, others) => server.setSecureContext(options(fresh, others)),
  }
}

export type TlsSocket = tls.TLSSocket

/** DER: what the peer showed and what stands above it, leaf first; of a session that was resumed the leaf only. */
export { presented as peerChain } from './grpc/tls.ts'

/** What the peer showed; TLS has verified its chain and times. */
export const peerCertificate = (socket: TlsSocket): X509Certificate | undefined => socket.getPeerX509Certificate()

/** Says no more and reads on for a moment, so that what was said is not lost to a reset (RFC 9112 §9.6). */
export function closeInOrder(socket: Socket): void {
  socket.end()
  socket.resume()
  setTimeout(() => socket.destroy(), 1000).unref()
}

/** Ends a connection so that its peer sees that it is not whole: by a reset; under TLS, where that cannot be had, by an end without close_notify (RFC 8446 §6.1). */
export function breakOff(socket: Socket): void {
  if (!(socket instanceof tls.TLSSocket)) return void socket.resetAndDestroy()
  // Node resets TCP sockets only. (Resetting the one beneath crashes Node 26 when TLS is just handing over what it has decrypted.)
  resetOnClose(socket)
  socket.destroy()
}

export const isIp = (host: string): boolean => net.isIP(host) !== 0
