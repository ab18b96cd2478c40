/** JWT-SVIDs: a SPIFFE id as a token for one audience (spiffe/spiffe, JWT-SVID.md), signed, and verified by the key sets of trust domains. */

import type { JWK } from 'jose'
import type { Key } from './key.ts'
import { isSpiffeId, type SpiffeId, spiffeParts, trustDomainId, whyNotSpiffeId } from './spiffe.ts'

/** kid: by which it stands in the key set. */
export type NamedKey = { readonly kid: string; readonly key: Key }

/** It proves nothing here; the message is one sentence. */
export class BadJwtSvid extends Error {}

/** §3: sub, aud and exp are demanded; iss is the trust domain, so that a JWTPolicy can name it. times: ms since the epoch. */
export async function signJwtSvid(
  { kid, key }: NamedKey,
  said: { readonly identity: SpiffeId; readonly audience: readonly string[]; readonly now: number; readonly expiresAt: number },
): Promise<string> {
  const { SignJWT } = await import('jose')
  return new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid })
    .setIssuer(jwtIssuer(spiffeParts(said.identity).trustDomain))
    .setSubject(said.identity)
    .setAudience([...said.audience])
    .setIssuedAt(Math.floor(said.now / 1000))
    .setExpirationTime(Math.floor(said.expiresAt / 1000))
    .sign(key.private)
}

/** What `iss` of a JWT-SVID of the mesh is. */
export const jwtIssuer = (trustDomain: string): string => trustDomainId(trustDomain)

/** A key set in JSON (RFC 7517), public keys only; SPIFFE_Trust_Domain_and_Bundle §4 lets others know by kid. */
export async function jwksOf(keys: readonly NamedKey[]): Promise<string> {
  const { exportJWK } = await import('jose')
  return JSON.stringify({
    keys: await Promise.all(keys.map(async ({ kid, key }) => ({ ...(await exportJWK(key.public)), kid, alg: 'ES256' }))),
  })
}

const algorithms = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512']

export type JwtSvidClaims = { readonly identity: SpiffeId; readonly claims: Readonly<Record<string, unknown>> }

/** bundles: key sets in JSON, by trust domain. now: ms since the epoch. §4 and §5. Throws BadJwtSvid. */
export async function verifyJwtSvid(
  token: string,
  audience: string,
  bundles: Readonly<Record<string, string>>,
  now: number,
): Promise<JwtSvidClaims> {
  const { compactVerify, decodeJwt, decodeProtectedHeader, importJWK } = await import('jose')
  const refuse = (says: string): never => {
    throw new BadJwtSvid(says)
  }
  let header: { readonly alg?: string | undefined; readonly typ?: string | undefined; readonly kid?: string | undefined }
  let claims: Readonly<Record<string, unknown>>
  try {
    header = decodeProtectedHeader(token)
    claims = decodeJwt(token)
  } catch {
    return refuse('it is not three parts of base64url with JSON in them')
  }
  const { alg = '', typ, kid } = header
  if (!algorithms.includes(alg)) refuse('it is not signed by an algorithm that is taken')
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') refuse('its type (typ) is neither JWT nor JOSE')
  const { sub, aud, exp } = claims
  if (typeof sub !== 'string') return refuse('it names no subject (sub)')
  if (!isSpiffeId(sub)) return refuse(`its subject is not a SPIFFE id: ${whyNotSpiffeId(sub)}`)
  const { trustDomain } = spiffeParts(sub)
  const bundle = bundles[trustDomain]
  if (bundle === undefined) return refuse(`the trust domain ${trustDomain} is not known here`)
  const jwk = (JSON.parse(bundle) as { readonly keys: readonly JWK[] }).keys.find(each => each.kid !== undefined && each.kid === kid)
  if (jwk === undefined) return refuse(`its key (kid) is none of the trust domain ${trustDomain}: is it older than the keys that signed?`)
  try {
    await compactVerify(token, await importJWK(jwk, alg), { algorithms: [alg] })
  } catch {
    refuse('its signature does not fit')
  }
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  if (audience === '' || !named.includes(audience)) refuse(`it is for another audience than "${audience}"`)
  if (typeof exp !== 'number') return refuse('it says no time at which it ends (exp)')
  if (exp * 1000 <= now) refuse(`it expired at ${new Date(exp * 1000).toISOString()}`)
  return { identity: sub, claims }
}
