/**
 * What a connection to the outside says first where rules tell hosts apart: silence is no way past them. Whoever is silent may be waiting for its server, so that
 * is asked meanwhile, and its first word decides that the bytes are opaque; else the caller is waited for as long as an idle connection may last.
 */

import { Failure } from '#base/failure'
import type { Socket } from '#io/net'
import type { Ahead } from './ahead.ts'
import { firstBytes } from './first-bytes.ts'

/** As long as nothing may pass on a connection (Envoy's own default). */
const silenceMs = 3_600_000
/** What was begun must be whole within it: as long as a handshake may take. */
const wholeMs = 10_000
/** So long a caller that may not speak opaque bytes there has to name a host to which it may. */
const deniedMs = 1_000

/** ahead: the way of opaque bytes, begun where the caller is silent. Empty: server or way have spoken first. */
export function firstWord(socket: Socket, ahead: Ahead<{ readonly connected: { readonly socket: Socket } }>): Promise<Uint8Array> {
  const failed = (finish: () => void, why: unknown): void => {
    // Of HTTP or a server name other rules may hold; but whoever waits for a server that is not there should learn of it at once.
    const isDenied = why instanceof Failure && why.blame === 'policy'
    if (!isDenied) return finish()
    const timer = setTimeout(finish, deniedMs)
    socket.once('close', () => clearTimeout(timer))
  }
  return firstBytes(socket, silenceMs, undefined, finish => ahead.start(finish, why => failed(finish, why)), wholeMs)
}
