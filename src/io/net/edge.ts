/** TLS for callers outside the mesh: certificates of the operator, and certificates of callers only where somebody asks for them. */

import type { Socket } from 'node:net'
import tls from 'node:tls'
import { leave } from './leave.ts'
import { optionsOf, type Terms } from './terms.ts'

/** certificates: PEM, one for each kind of key; the caller's hello decides. callers: whose certificates they must show, or may. */
type EdgeMaterial = {
  readonly certificates: readonly { readonly cert: string; readonly key: string }[]
  readonly callers?: { readonly roots: readonly string[]; readonly isRequired: boolean }
  /** Which version is agreed on; else nothing is. */
  readonly speaksHttp: boolean
  readonly terms: Terms
}

/** Server side of TLS on accepted sockets whose hello is still unread. Handshakes end within ten seconds, either way. Throws where a key does not fit its certificate. */
export function edgeAcceptor(
  { certificates, callers, speaksHttp, terms }: EdgeMaterial,
  onSecure: (socket: tls.TLSSocket) => void,
  onFailed: (why: string) => void,
): { accept(socket: Socket): void } {
  const server = tls.createServer({
    cert: certificates.map(each => each.cert),
    key: certificates.map(each => each.key),
    ...(callers === undefined ? {} : { ca: [...callers.roots], requestCert: true, rejectUnauthorized: callers.isRequired }),
    ...optionsOf(terms),
    handshakeTimeout: 10_000,
    pauseOnConnect: true,
    allowHalfOpen: true,
    ...(speaksHttp ? { ALPNProtocols: ['h2', 'http/1.1'] } : {}),
  })
  server.on('secureConnection', onSecure)
  server.on('tlsClientError', (error, socket) => {
    onFailed(String(socket.authorizationError ?? (error as NodeJS.ErrnoException).code ?? error.message))
    leave(socket)
  })
  return { accept: socket => void server.emit('connection', socket) }
}

/** A fatal alert (RFC 8446 §6.2, RFC 6066 §3) in a record of its own: there is no certificate for the name. */
export function refuseName(socket: Socket): void {
  socket.resume()
  socket.end(Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70))
}
