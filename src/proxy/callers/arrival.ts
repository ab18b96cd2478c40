/** How a caller begins at a port of the mesh: its first bytes tell TLS from plaintext, and are left where they are. */

import type { Failure } from '#base/failure'
import { closeInOrder, type Socket } from '#io/net'
import type { Listener } from '#model/listener'
import { detect } from '#wire/detect'

/** The handshake record of TLS (RFC 8446 §5.1), with which a ClientHello begins. */
const handshake = 0x16
/** As long as a handshake may take as a whole. */
const patienceMs = 10_000
/**
 * How long a caller may be silent where plaintext is taken and its server might speak first: a proxy of the mesh that is busy must not be
 * taken for such a caller. Envoy is told the same (listener_filters_timeout).
 */
const silenceMs = 500

export type Arrival = { readonly kind: 'tls' | 'plaintext'; readonly first: Uint8Array }

/** Undefined: it went away, or never said a word where it had to. listener: as it is at this moment. */
export async function arrival(socket: Socket, listener: Listener): Promise<Arrival | undefined> {
  const takesPlaintext = listener.tls?.mode !== 'strict'
  const mayWait = takesPlaintext && (listener.protocol === 'tcp' || listener.protocol === 'detect')
  const first = await peek(socket, mayWait ? silenceMs : patienceMs)
  if (socket.destroyed || (first.length === 0 && !takesPlaintext)) return undefined
  return { kind: first[0] === handshake && listener.tls !== undefined ? 'tls' : 'plaintext', first }
}

/** The first bytes, unread again; empty when none came in time or the caller ended its half. */
function peek(socket: Socket, ms: number): Promise<Uint8Array> {
  return new Promise(resolve => {
    const finish = (first: Uint8Array): void => {
      clearTimeout(timer)
      socket.off('data', finish).off('end', silent).off('close', silent)
      socket.pause()
      if (first.length > 0) socket.unshift(first)
      resolve(first)
    }
    const silent = () => finish(new Uint8Array(0))
    const timer = setTimeout(silent, ms)
    socket.once('data', finish).once('end', silent).once('close', silent)
    socket.resume()
  })
}

/** Ends a connection that came in plaintext where an identity must be proved: with an answer if it speaks HTTP/1, so that its user learns why. */
export function refusePlaintext(socket: Socket, first: Uint8Array, failure: Failure): void {
  if (detect(first).kind !== 'http1') return void socket.destroy()
  const body = `${failure.says}\n${failure.hint}\n`
  const head = [
    `HTTP/1.1 ${failure.status} Forbidden`,
    `x-weft-error: ${failure.code}`,
    'content-type: text/plain; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  closeInOrder(socket)
}
