/**
 * How a workload that slept longer than its certificate lived asks for the next one: with the expired one, and a signature by its key.
 *
 * TLS refuses an expired certificate whatever it is shown for, so the proof travels in the request: a JWS (RFC 7515) whose `x5c` is the chain
 * and whose payload names the certificate request. It is good for that request only, and for a few minutes.
 */

import { createHash, X509Certificate } from 'node:crypto'
import { type Certificate, lifeOf, readCertificate, serialOf } from './certificate.ts'
import { readKey } from './key.ts'
import type { SpiffeId } from './spiffe.ts'
import { type Expected, verifyPeer } from './verify.ts'

export const rejoinAudience = 'weft-rejoin'
const mostSkewMs = 5 * 60_000

/** Who asks, and what proved it. */
export type Rejoining = { readonly identity: SpiffeId; readonly serial: string; readonly expiredAt: number }

/** The proof does not hold; the message is one sentence that says what to do. */
export class BadRejoin extends Error {}

const anew = 'make a join token with: weft token create'

/** key: PEM. cert: PEM chain, leaf first. */
export async function makeRejoin(own: { readonly key: string; readonly cert: string }, csr: string, now: number): Promise<string> {
  const { SignJWT } = await import('jose')
  const chain = [...own.cert.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(([pem]) =>
    new X509Certificate(pem).raw.toString('base64'),
  )
  return new SignJWT({ csr: digest(csr) })
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', x5c: chain })
    .setAudience(rejoinAudience)
    .setIssuedAt(Math.floor(now / 1000))
    .sign(readKey(own.key).private)
}

/** expected: as for a client that connects. withinMs: how long ago the certificate may have expired. Throws BadRejoin. */
export async function verifyRejoin(proof: string, csr: string, expected: Expected, withinMs: number, now: number): Promise<Rejoining> {
  const { compactVerify, decodeProtectedHeader } = await import('jose')
  let chain: readonly Certificate[]
  try {
    const { x5c } = decodeProtectedHeader(proof)
    if (!Array.isArray(x5c) || x5c.length === 0 || x5c.length > 5) throw new RangeError()
    chain = x5c.map(one => readCertificate(Buffer.from(String(one), 'base64')))
  } catch {
    throw new BadRejoin(`the proof of the expired certificate is malformed; ${anew}`)
  }
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
  let said: { readonly aud?: unknown; readonly iat?: unknown; readonly csr?: unknown }
  try {
    const { payload } = await compactVerify(proof, leaf.publicKey, { algorithms: ['ES256'] })
    said = JSON.parse(new TextDecoder().decode(payload))
  } catch {
    throw new BadRejoin(`the proof is not signed by the key of the certificate; ${anew}`)
  }
  if (said.aud !== rejoinAudience || said.csr !== digest(csr)) throw new BadRejoin(`the proof is for another request; ${anew}`)
  if (typeof said.iat !== 'number' || Math.abs(now - said.iat * 1000) > mostSkewMs)
    throw new BadRejoin('the proof is not of now: do the clocks of both hosts agree?')
  return { identity: judged.peer, serial: serialOf(leaf), expiredAt: notAfter }
}

const digest = (csr: string): string => createHash('sha256').update(csr).digest('base64url')
