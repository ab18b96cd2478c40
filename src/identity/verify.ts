/** Judges the certificate that a peer presents: which SPIFFE id it proves, or in one sentence why it proves none. */

import { X509Certificate } from 'node:crypto'
import { maySign } from './extensions.ts'
import { isSpiffeId, type SpiffeId, spiffeParts, whyNotSpiffeId } from './spiffe.ts'

export type Refusal =
  | 'unreadable'
  | 'expired'
  | 'not-yet-valid'
  | 'unknown-issuer'
  | 'signing-certificate'
  | 'wrong-usage'
  | 'no-id'
  | 'many-ids'
  | 'bad-id'
  | 'wrong-trust-domain'
  | 'wrong-id'
  | 'revoked'

/** notAfter: milliseconds since the epoch. serial: lower-case hex. */
export type Proven = { readonly peer: SpiffeId; readonly notAfter: number; readonly serial: string }
export type Refused = { readonly code: Refusal; readonly refused: string }

/** roots, intermediates: parsed once by the caller. ids: the peer must be one of them; absent: anyone of the trust domain. */
export type Expected = {
  readonly roots: readonly X509Certificate[]
  readonly intermediates?: readonly X509Certificate[]
  readonly trustDomain: string
  readonly ids?: readonly string[]
  /** What the peer does on this connection. */
  readonly role: 'client' | 'server'
}

const usages = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' }
const maxDepth = 5

/** presented: DER or parsed, leaf first. X509-SVID §5 (path validation by RFC 5280) and §4 (one URI, not a signing certificate). */
export function verifyPeer(presented: readonly (Uint8Array | X509Certificate)[], expected: Expected, now: number): Proven | Refused {
  let chain: readonly X509Certificate[]
  try {
    chain = presented.map(one => (one instanceof X509Certificate ? one : new X509Certificate(one)))
  } catch {
    return refuse('unreadable', 'the certificate cannot be parsed')
  }
  const [leaf, ...above] = chain
  if (!leaf) return refuse('unreadable', 'no certificate was presented')
  return (
    whyUntimely(leaf, 'the certificate', now) ??
    whyNoPath(leaf, [...above, ...(expected.intermediates ?? [])], expected.roots, now) ??
    readIdentity(leaf, expected)
  )
}

/** The part for a leaf whose chain and times TLS has verified already: its id, and whether that is an expected one; without a trust domain, of any. */
export function readIdentity(leaf: X509Certificate, expected: Partial<Expected> & Pick<Expected, 'role'>): Proven | Refused {
  if (maySign(leaf)) return refuse('signing-certificate', 'the certificate is one that signs others and cannot identify a workload')
  if (leaf.keyUsage && !leaf.keyUsage.includes(usages[expected.role]))
    return refuse('wrong-usage', `the certificate is not for a TLS ${expected.role}`)
  const [uri, ...more] = uriNames(leaf)
  if (uri === undefined) return refuse('no-id', 'the certificate names no SPIFFE id')
  if (more.length > 0) return refuse('many-ids', 'the certificate names more than one URI, so it proves no single SPIFFE id')
  if (!isSpiffeId(uri)) return refuse('bad-id', `the certificate names "${uri}", which is not a SPIFFE id: ${whyNotSpiffeId(uri)}`)
  const { trustDomain, path } = spiffeParts(uri)
  if (expected.trustDomain !== undefined && trustDomain !== expected.trustDomain)
    return refuse('wrong-trust-domain', `${uri} is of the trust domain ${trustDomain}, not ${expected.trustDomain}`)
  if (path === '') return refuse('bad-id', `${uri} names the trust domain itself and no workload`)
  if (expected.ids && !expected.ids.includes(uri))
    return refuse('wrong-id', `the peer is ${uri}, expected ${expected.ids.join(' or ') || 'nobody'}`)
  return { peer: uri, notAfter: leaf.validToDate.getTime(), serial: leaf.serialNumber.toLowerCase() }
}

const refuse = (code: Refusal, refused: string): Refused => ({ code, refused })

function whyUntimely(certificate: X509Certificate, what: string, now: number): Refused | undefined {
  if (now > certificate.validToDate.getTime()) return refuse('expired', `${what} expired at ${certificate.validToDate.toISOString()}`)
  if (now < certificate.validFromDate.getTime())
    return refuse(
      'not-yet-valid',
      `${what} is not valid before ${certificate.validFromDate.toISOString()}; do the clocks of both hosts agree?`,
    )
  return undefined
}

/** Walks from the leaf to a root by name and signature. An issuer of the right name that has expired is remembered as the reason when no other leads on. */
function whyNoPath(
  leaf: X509Certificate,
  between: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  now: number,
): Refused | undefined {
  let reason = refuse('unknown-issuer', 'the certificate is not signed by a root that this mesh trusts')
  const climb = (certificate: X509Certificate, depth: number): boolean => {
    for (const issuer of roots.concat(depth < maxDepth ? between : [])) {
      if (!issuer.ca || !certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) continue
      const isRoot = roots.some(root => root.fingerprint256 === issuer.fingerprint256)
      const untimely = whyUntimely(issuer, isRoot ? 'the root certificate of the mesh' : 'the intermediate certificate that signed it', now)
      if (untimely) reason = untimely
      else if (isRoot || (issuer !== certificate && climb(issuer, depth + 1))) return true
    }
    return false
  }
  return climb(leaf, 1) ? undefined : reason
}

/** Node tells alternative names as text: `URI:spiffe://…, DNS:…`, with unusual characters in JSON quotes. */
function uriNames(leaf: X509Certificate): readonly string[] {
  const names = leaf.subjectAltName?.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g) ?? []
  return [...names].filter(([, type]) => type === 'URI').map(([, , value = '']) => value)
}
