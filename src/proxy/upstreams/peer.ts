/**
 * Who is at the other end of mutual TLS: the one SPIFFE id of a certificate whose chain and times TLS has verified (X509-SVID §4 and §5.2), by a root of its
 * own trust domain, and not taken back.
 */

import { type Crl, issuerOf, readCrls } from '#identity/crl'
import { type Certificate, readCertificate } from '#identity/certificate'
import { type Proven, readIdentity, type Refused, verifyPeer } from '#identity/verify'
import { isSpiffeId, spiffeParts } from '#identity/spiffe'
import { peerCertificate, peerChain, type TlsSocket } from '#io/net'
import { isRevoked, tellRevoked } from '#model/revoked'
import type { Trust } from '#model/trust'

/** ids: it must be one of them; absent: anyone of the mesh, or of a trust domain that it believes. role: of the peer on this connection. */
type Wanted = { readonly ids?: readonly string[]; readonly role: 'client' | 'server' }

/** issuer: as `issuerOf` has it. */
export type Peer = Proven & { readonly issuer: string }

export function provenBy(secure: TlsSocket, trust: Trust, wanted: Wanted): Peer | Refused {
  const leaf = peerCertificate(secure)
  if (leaf === undefined) return { code: 'unreadable', refused: 'it showed no certificate' }
  const { domain, federated } = trust
  const isAny = domain === '' || wanted.ids !== undefined || federated !== undefined
  const read = readIdentity(leaf, { ...wanted, ...(isAny ? {} : { trustDomain: domain }) })
  if ('refused' in read) return read
  const proven = { ...read, issuer: issuerOf(leaf) }
  return (federated === undefined ? undefined : whyOtherRoot(secure, leaf, proven, trust, wanted)) ?? whyWithdrawn(proven, trust) ?? proven
}

/** TLS knows the roots of all trust domains and not whose they are: each is believed for identities of its own only. */
function whyOtherRoot(secure: TlsSocket, leaf: Certificate, { peer }: Peer, trust: Trust, wanted: Wanted): Refused | undefined {
  const trustDomain = isSpiffeId(peer) ? spiffeParts(peer).trustDomain : ''
  const roots = trustDomain === trust.domain ? trust.roots : trust.federated?.[trustDomain]
  if (roots === undefined)
    return { code: 'wrong-trust-domain', refused: `${peer} is of the trust domain ${trustDomain}, which this mesh does not believe` }
  const judged = verifyPeer([leaf, ...peerChain(secure).slice(1)], { ...wanted, roots: rootsOf(roots), trustDomain }, Date.now())
  if (!('refused' in judged)) return undefined
  return judged.code === 'unknown-issuer'
    ? { code: 'unknown-issuer', refused: `${peer} is not signed by a root of its own trust domain ${trustDomain}` }
    : judged
}

const parsed = new WeakMap<readonly string[], readonly Certificate[]>()
function rootsOf(pem: readonly string[]): readonly Certificate[] {
  let found = parsed.get(pem)
  if (found === undefined) parsed.set(pem, (found = pem.map(readCertificate)))
  return found
}

/** Why one who was believed is not any more: by word of an operator, or of the authority that signed the certificate. */
export function whyWithdrawn({ peer, serial, issuer }: Peer, { revoked, crls }: Trust): Refused | undefined {
  const found = revoked && isRevoked(revoked, peer, serial)
  if (found !== undefined)
    return { code: 'revoked', refused: `${'serial' in found ? `the certificate ${serial} of ` : ''}${peer} ${tellRevoked(found)}` }
  if (crls === undefined || !listsOf(crls).some(crl => crl.issuer === issuer && crl.entries.has(serial))) return undefined
  return { code: 'revoked', refused: `the certificate ${serial} of ${peer} is on the revocation list of its authority` }
}

/**
 * The control plane has verified their signatures, and is believed as it is about roots. One whose time is over still counts: what it names was taken back,
 * and that nobody refreshes it takes nothing back by itself.
 */
const lists = new WeakMap<readonly string[], readonly Crl[]>()
function listsOf(pem: readonly string[]): readonly Crl[] {
  let found = lists.get(pem)
  if (found === undefined) lists.set(pem, (found = pem.flatMap(one => readCrls(one))))
  return found
}
