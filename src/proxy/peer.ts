/** Who is at the other end of mutual TLS: the one SPIFFE id of a certificate whose chain and times TLS has verified (X509-SVID §4 and §5.2). */

import { type Proven, readIdentity, type Refused } from '#identity/verify'
import { peerCertificate, type TlsSocket } from '#io/net'

/** trustDomain: '' where a file says who may call, and not a mesh: any then. ids: it must be one of them. role: of the peer on this connection. */
type Wanted = { readonly trustDomain: string; readonly ids?: readonly string[]; readonly role: 'client' | 'server' }

export function provenBy(secure: TlsSocket, wanted: Wanted): Proven | Refused {
  const leaf = peerCertificate(secure)
  if (leaf === undefined) return { code: 'unreadable', refused: 'it showed no certificate' }
  const { trustDomain, ...more } = wanted
  return readIdentity(leaf, { ...more, ...(trustDomain === '' ? {} : { trustDomain }) })
}
