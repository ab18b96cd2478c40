/**
 * How a workload that slept longer than its certificate lived asks for the next one: with the expired one, and a signature by its key.
 *
 * TLS refuses an expired certificate whatever it is shown for, so the proof travels in the request: a JWS (RFC 7515) whose `x5c` is the chain
 * and whose payload names the certificate request. It is good for that request only, and for a few minutes. A valid certificate of another authority, which is
 * believed for this and for nothing else, is shown in the same way.
 */

import { createHash, type KeyObject, X509Certificate } from 'node:crypto'
import { type Certificate, lifeOf, readCertificate, serialOf } from './certificate.ts'
import { readKey, readSigningKey } from './key.ts'
import { type SpiffeId, spiffeParts } from './spiffe.ts'
import { type Expected, readIdentity, verifyPeer } from './verify.ts'

export const rejoinAudience = 'weft-rejoin'
const attestAudience = 'weft-attest'
const mostSkewMs = 5 * 60_000

/** Who asks, and what proved it. */
export type Rejoining = { readonly identity: SpiffeId; readonly serial: string; readonly expiredAt: number }

/** The proof does not hold; the message is one sentence that says what to do. */
export class BadRejoin extends Error {}

const anew = 'make a join token with: weft token create'

type Own = { readonly key: string; readonly cert: string }

/** key: PEM. cert: PEM chain, leaf first. */
export const makeRejoin = (own: Own, csr: string, now: number): Promise<string> =>
  prove(own, readKey(own.key).private, rejoinAudience, csr, now)

/** The same with a valid certificate of another authority, whose key may be EC or RSA. */
export const makeAttestation = (own: Own, csr: string, now: number): Promise<string> =>
  prove(own, readSigningKey(own.key).private, attestAudience, csr, now)

async function prove(own: Own, key: KeyObject, audience: string, csr: string, now: number): Promise<string> {
  const { SignJWT } = await import('jose')
  const chain = [...own.cert.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(([pem]) =>
    new X509Certificate(pem).raw.toString('base64'),
  )
  return new SignJWT({ csr: digest(csr) })
    .setProtectedHeader({ alg: algorithmOf(key), typ: 'JWT', x5c: chain })
    .setAudience(audience)
    .setIssuedAt(Math.floor(now / 1000))
    .sign(key)
}

/** The one by which a key signs. Throws BadRejoin. */
function algorithmOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): string {
  const curve = details?.namedCurve
  const found =
    type === 'rsa' ? 'RS256' : type === 'ed25519' ? 'EdDSA' : curve === 'prime256v1' ? 'ES256' : curve === 'secp384r1' ? 'ES384' : undefined
  if (found === undefined)
    throw new BadRejoin(`a key of type ${type} ${curve ?? ''} cannot prove anything here: use EC P-256, P-384 or RSA`)
  return found
}

/** expected: as for a client that connects. withinMs: how long ago the certificate may have expired. Throws BadRejoin. */
export async function verifyRejoin(proof: string, csr: string, expected: Expected, withinMs: number, now: number): Promise<Rejoining> {
  const chain = await chainOf(proof, `the proof of the expired certificate is malformed; ${anew}`)
  const leaf = chain[0]!
  const { notAfter } = lifeOf(leaf)
  // Judged as of its last second: whether it was good, not whether it is.
  const judged = verifyPeer(chain, expected, Math.min(now, notAfter))
  if ('refused' in judged) throw new BadRejoin(`the expired certificate proves nothing here: ${judged.refused}; ${anew}`)
  if (now - notAfter > withinMs)
    throw new BadRejoin(
      withinMs === 0
        ? `the certificate expired at ${new Date(notAfter).toISOString()}, and this control plane takes no expired ones; ${anew}`
        : `the certificate expired at ${new Date(notAfter).toISOString()}, longer ago than ${Math.round(withinMs / 3_600_000)} h, for which it may be used to come back; ${anew}`,
    )
  await demandProof(proof, leaf, rejoinAudience, csr, now)
  return { identity: judged.peer, serial: serialOf(leaf), expiredAt: notAfter }
}

/** roots: of authorities whose certificates are taken for this, of any trust domain. Throws BadRejoin. Returns the id that the certificate proves. */
export async function verifyAttestation(proof: string, csr: string, roots: Expected['roots'], now: number): Promise<SpiffeId> {
  const chain = await chainOf(proof, 'the proof of the certificate is malformed')
  const read = readIdentity(chain[0]!, { role: 'client' })
  const judged =
    'refused' in read ? read : verifyPeer(chain, { roots, trustDomain: spiffeParts(read.peer).trustDomain, role: 'client' }, now)
  if ('refused' in judged)
    throw new BadRejoin(
      `the certificate proves nothing here: ${
        judged.code === 'unknown-issuer'
          ? 'it leads to no root that this control plane takes as attestation (weft control --attest-roots)'
          : judged.refused
      }`,
    )
  await demandProof(proof, chain[0]!, attestAudience, csr, now)
  return judged.peer
}

async function chainOf(proof: string, malformed: string): Promise<readonly Certificate[]> {
  const { decodeProtectedHeader } = await import('jose')
  try {
    const { x5c } = decodeProtectedHeader(proof)
    if (!Array.isArray(x5c) || x5c.length === 0 || x5c.length > 5) throw new RangeError()
    return x5c.map(one => readCertificate(Buffer.from(String(one), 'base64')))
  } catch {
    throw new BadRejoin(malformed)
  }
}

/** Signed by the key of the certificate, for this request, now. */
async function demandProof(proof: string, leaf: Certificate, audience: string, csr: string, now: number): Promise<void> {
  const { compactVerify } = await import('jose')
  let said: { readonly aud?: unknown; readonly iat?: unknown; readonly csr?: unknown }
  try {
    const { payload } = await compactVerify(proof, leaf.publicKey, { algorithms: [algorithmOf(leaf.publicKey)] })
    said = JSON.parse(new TextDecoder().decode(payload))
  } catch {
    throw new BadRejoin(`the proof is not signed by the key of the certificate; ${anew}`)
  }
  if (said.aud !== audience || said.csr !== digest(csr)) throw new BadRejoin(`the proof is for another request; ${anew}`)
  if (typeof said.iat !== 'number' || Math.abs(now - said.iat * 1000) > mostSkewMs)
    throw new BadRejoin('the proof is not of now: do the clocks of both hosts agree?')
}

const digest = (csr: string): string => createHash('sha256').update(csr).digest('base64url')
