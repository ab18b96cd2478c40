/** One-time tokens by which a step-ca is asked for one certificate: its JWK provisioner's key, which it gives out encrypted, and a JWT signed by it. */

import { randomBytes } from 'node:crypto'
import type { CryptoKey } from 'jose'

export type ProvisionerKey = { readonly key: CryptoKey | Uint8Array; readonly alg: string; readonly kid: string }

/** encrypted: compact JWE (RFC 7516), by a password (PBES2). Throws an Error with one sentence. */
export async function openProvisionerKey(encrypted: string, kid: string, password: string): Promise<ProvisionerKey> {
  const { compactDecrypt, importJWK } = await import('jose')
  let text: string
  try {
    const { plaintext } = await compactDecrypt(encrypted, new TextEncoder().encode(password), {
      keyManagementAlgorithms: ['PBES2-HS256+A128KW', 'PBES2-HS384+A192KW', 'PBES2-HS512+A256KW'],
      maxPBES2Count: 1_000_000,
    })
    text = new TextDecoder().decode(plaintext)
  } catch {
    throw new Error("the provisioner's key cannot be decrypted with this password")
  }
  const jwk = JSON.parse(text) as { alg?: string; kid?: string }
  const alg = jwk.alg ?? 'ES256'
  return { key: await importJWK(jwk, alg), alg, kid: kid || (jwk.kid ?? '') }
}

/** names: all names of the certificate, as the request has them. Good for five minutes. */
export async function signOneTimeToken(
  { key, alg, kid }: ProvisionerKey,
  said: {
    readonly issuer: string
    readonly audience: string
    readonly subject: string
    readonly names: readonly string[]
    readonly now: number
  },
): Promise<string> {
  const { SignJWT } = await import('jose')
  const now = Math.floor(said.now / 1000)
  return new SignJWT({ sans: said.names })
    .setProtectedHeader({ alg, kid, typ: 'JWT' })
    .setIssuer(said.issuer)
    .setAudience(said.audience)
    .setSubject(said.subject)
    .setNotBefore(now - 60)
    .setIssuedAt(now)
    .setExpirationTime(now + 300)
    .setJti(randomBytes(16).toString('hex'))
    .sign(key)
}
