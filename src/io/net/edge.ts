/** TLS for callers outside the mesh: a certificate for each name that they ask for, none demanded of them. */

import tls from 'node:tls'
import type { Socket } from '../net.ts'

type Pair = { readonly cert: string; readonly key: string }

/** Several: one for each kind of key; the caller's hello decides. Throws where a pair does not fit together. */
export const edgeContext = (pairs: readonly Pair[]): tls.SecureContext =>
  tls.createSecureContext({ cert: pairs.map(each => each.cert), key: pairs.map(each => each.key), minVersion: 'TLSv1.2' })

/**
 * Server side of TLS on an accepted socket whose hello is still unread. context: undefined: there is no certificate for the name, and so no
 * handshake. Ends within ten seconds, either way.
 */
export function secureEdge(
  socket: Socket,
  context: tls.SecureContext | undefined,
  onSecure: (secure: tls.TLSSocket) => void,
  onFailed: (why: string) => void,
): void {
  if (context === undefined) {
    socket.resume()
    socket.end(unrecognizedName)
    return onFailed('there is no certificate for the name that it asks for')
  }
  const secure = new tls.TLSSocket(socket, {
    isServer: true,
    secureContext: context,
    requestCert: false,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2', 'http/1.1'],
  })
  const timer = setTimeout(() => secure.destroy(new Error('the handshake took longer than ten seconds')), 10_000)
  const failed = (error: Error): void => onFailed((error as NodeJS.ErrnoException).code ?? error.message)
  secure.once('error', failed)
  secure.once('close', () => clearTimeout(timer))
  secure.once('secure', () => {
    clearTimeout(timer)
    secure.off('error', failed)
    secure.on('error', () => {})
    onSecure(secure)
  })
}

/** A fatal alert (RFC 8446 §6.2) in a record of its own. */
const unrecognizedName = Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70)
