/** What became of TLS handshakes: what was agreed on, kept for as long as the connection is open; and callers that were refused before they could say a word, by why. */

import { type Agreed, agreedOn, type Socket, type TlsSocket } from '#io/net'
import { agreedLabels, handshakeLabels, metricNames } from '#model/metrics'
import type { Family, Registry } from '../registry.ts'

/** inbound, outbound: mutual TLS of the mesh; gateway: with callers outside; outside: towards servers outside. */
export type Side = 'inbound' | 'outbound' | 'gateway' | 'outside'

/** since: RFC 3339. peer: the SPIFFE id that it proved; absent where none is asked for. */
export type SecureConnection = Agreed & { readonly side: Side; readonly address: string; readonly peer?: string; readonly since: string }

/** One that is asked about shows so many connections. */
const mostTold = 1000

/** Also when it is closed. */
const agreements = new WeakMap<Socket, Agreed>()
/** What was agreed on; undefined: it speaks no TLS. */
export const agreedOf = (socket: Socket): Agreed | undefined => agreements.get(socket)

export class Handshakes {
  readonly #refused: Family
  readonly #agreed: Family
  readonly #open = new Map<
    TlsSocket,
    { readonly side: Side; readonly peer: string | undefined; readonly agreed: Agreed; readonly at: number }
  >()

  constructor(registry: Registry) {
    this.#refused = registry.family(metricNames.handshakes, 'counter', 'Callers of TLS that were refused, by why', handshakeLabels)
    this.#agreed = registry.family(metricNames.agreed, 'counter', 'TLS handshakes, by what was agreed on', agreedLabels)
  }

  refused(listener: string, reason: string): void {
    this.#refused.sample([listener, reason]).value++
  }

  /** After the handshake. Versions, groups and ciphers are few: a name is one that TLS has for it, or other. */
  agreed(socket: TlsSocket, side: Side, peer?: string): void {
    const agreed = agreedOn(socket)
    this.#agreed.sample([side, agreed.version, agreed.group, agreed.cipher]).value++
    agreements.set(socket, agreed)
    this.#open.set(socket, { side, peer, agreed, at: Date.now() })
    socket.once('close', () => this.#open.delete(socket))
  }

  /** The newest first. */
  get now(): readonly SecureConnection[] {
    return [...this.#open]
      .slice(-mostTold)
      .reverse()
      .map(([{ remoteAddress = '', remotePort = 0 }, { side, peer, agreed, at }]) => ({
        side,
        address: `${remoteAddress}:${remotePort}`,
        ...(peer === undefined ? {} : { peer }),
        ...agreed,
        since: new Date(at).toISOString(),
      }))
  }
}

/** Codes of OpenSSL, as Node has them, for which there is a reason of its own. */
const reasons: Readonly<Record<string, readonly [reason: string, says: string]>> = {
  ERR_SSL_UNSUPPORTED_PROTOCOL: ['tls-version', 'it speaks only versions of TLS that are not taken here'],
  ERR_SSL_NO_SUITABLE_KEY_SHARE: ['tls-group', 'none of its key exchanges is taken here'],
  ERR_SSL_NO_SUITABLE_GROUPS: ['tls-group', 'none of its key exchanges is taken here'],
  ERR_SSL_NO_SHARED_GROUP: ['tls-group', 'none of its key exchanges is taken here'],
  ERR_SSL_NO_SHARED_CIPHER: ['tls-cipher', 'none of its ciphers is taken here'],
}

/** What a handshake failed of: a label, and a sentence. */
export const whyRefused = (code: string): readonly [reason: string, says: string] => {
  const found = reasons[code]
  return found === undefined ? ['tls', code] : [found[0], `${found[1]} (${code})`]
}
