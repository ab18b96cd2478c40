/** The other ends of all open connections of mutual TLS, so that one who is not believed any more is parted with at once, whatever the connection carries. */

import type { TlsSocket } from '#io/net'
import type { Refused } from '#identity/verify'
import type { Trust } from '#model/trust'
import { type Peer, provenBy, whyWithdrawn } from './peer.ts'

/** where: name of the listener, or of the backend. */
type Known = { readonly peer: Peer; readonly where: string; readonly role: 'client' | 'server' }
export type Parted = Known & { readonly refused: Refused }

export class Peers {
  readonly #open = new Map<TlsSocket, Known>()
  readonly #trust: () => Trust

  constructor(trust: () => Trust) {
    this.#trust = trust
  }

  /** A caller that has finished its handshake. */
  caller(secure: TlsSocket, listener: string): Peer | Refused {
    return this.#met(secure, listener, 'client')
  }

  /** An endpoint. ids: of which it must prove one. */
  endpoint(secure: TlsSocket, backend: string, ids: readonly string[]): Peer | Refused {
    return this.#met(secure, backend, 'server', ids)
  }

  #met(secure: TlsSocket, where: string, role: Known['role'], ids?: readonly string[]): Peer | Refused {
    const proven = provenBy(secure, this.#trust(), ids === undefined ? { role } : { role, ids })
    if ('refused' in proven) return proven
    this.#open.set(secure, { peer: proven, where, role })
    secure.once('close', () => this.#open.delete(secure))
    return proven
  }

  /** Those that are not believed any more; each is told of before its connection is ended. */
  judge(told: (parted: Parted) => void): void {
    const trust = this.#trust()
    for (const [secure, known] of this.#open) {
      const refused = whyWithdrawn(known.peer, trust) ?? whyStranger(known.peer.peer, trust)
      if (refused === undefined) continue
      told({ ...known, refused })
      secure.destroy()
    }
  }
}

/** Its trust domain was believed when it came. */
function whyStranger(peer: string, { domain, federated }: Trust): Refused | undefined {
  if (domain === '' || peer.startsWith(`spiffe://${domain}/`)) return undefined
  const trustDomain = peer.split('/')[2] ?? ''
  if (federated?.[trustDomain] !== undefined) return undefined
  return { code: 'wrong-trust-domain', refused: `${peer} is of the trust domain ${trustDomain}, which this mesh does not believe any more` }
}
