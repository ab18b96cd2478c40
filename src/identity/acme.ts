/** What ACME (RFC 8555) signs and compares: requests as JWS, the answer to a challenge, the certificate that comes of it. No sockets. */

import { type Certificate, pemBlocks, readCertificate } from './certificate.ts'
import type { Key } from './key.ts'

/** RFC 8555 §6.2. account: URL of the account; absent: the key itself is told, for the first request. payload: absent for POST-as-GET (§6.3). Returns the body. */
export async function signAcme(
  key: Key,
  said: { readonly url: string; readonly nonce: string; readonly account?: string | undefined; readonly payload?: unknown },
): Promise<string> {
  const { FlattenedSign } = await import('jose')
  const { url, nonce, account, payload } = said
  const signed = await new FlattenedSign(new TextEncoder().encode(payload === undefined ? '' : JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'ES256', nonce, url, ...(account === undefined ? { jwk: publicJwk(key) } : { kid: account }) })
    .sign(key.private)
  return JSON.stringify(signed)
}

/** RFC 8555 §7.3.4: the account's key, signed by the key of an account that the server knows already. hmac: 32 bytes or more as a rule. */
export async function bindAccount(
  key: Key,
  { keyId, hmac, url }: { readonly keyId: string; readonly hmac: Uint8Array; readonly url: string },
) {
  const { FlattenedSign } = await import('jose')
  return new FlattenedSign(new TextEncoder().encode(JSON.stringify(publicJwk(key))))
    .setProtectedHeader({ alg: 'HS256', kid: keyId, url } as { alg: string })
    .sign(hmac)
}

/** RFC 8555 §8.1: what is to be found at the path of the token. */
export async function keyAuthorization(key: Key, token: string): Promise<string> {
  const { calculateJwkThumbprint } = await import('jose')
  return `${token}.${await calculateJwkThumbprint(publicJwk(key), 'sha256')}`
}

type Jwk = { readonly kty: string; readonly crv: string; readonly x: string; readonly y: string }
const publicJwk = (key: Key): Jwk => key.public.export({ format: 'jwk' }) as Jwk

/** Begin and end of the life of a PEM chain's leaf, ms since the epoch, and the hosts that it names, in order. Throws RangeError. */
export type Leaf = { readonly notBefore: number; readonly notAfter: number; readonly names: readonly string[] }
export function leafOf(chain: string): Leaf {
  const leaf = readCertificate(chain)
  return {
    notBefore: leaf.validFromDate.getTime(),
    notAfter: leaf.validToDate.getTime(),
    names: (leaf.subjectAltName ?? '')
      .split(', ')
      .flatMap(each => (each.startsWith('DNS:') ? [each.slice(4).toLowerCase()] : []))
      .sort(),
  }
}

/** Why this is not the certificate that was ordered; undefined: it is. */
export function whyNotOrdered(chain: string, key: Key, names: readonly string[], now: number): string | undefined {
  const blocks = pemBlocks(chain, 'CERTIFICATE')
  let certificates: readonly Certificate[]
  try {
    certificates = blocks.map(readCertificate)
  } catch {
    return 'what it sent is not a chain of certificates in PEM'
  }
  const [leaf, ...above] = certificates
  if (leaf === undefined) return 'what it sent holds no certificate in PEM'
  if (!leaf.checkPrivateKey(key.private)) return 'the certificate that it sent is for another key than the one that was ordered'
  const { names: got, notAfter } = leafOf(blocks[0]!)
  const wanted = [...names].sort()
  if (got.join() !== wanted.join())
    return `the certificate that it sent is for ${got.join(', ') || 'no host'} and not for ${wanted.join(', ')} as ordered`
  if (notAfter <= now) return `the certificate that it sent ended at ${new Date(notAfter).toISOString()}`
  const signed = [leaf, ...above].every((each, at) => above[at] === undefined || each.verify(above[at].publicKey))
  return signed ? undefined : 'the certificates that it sent do not sign one another, leaf first'
}
