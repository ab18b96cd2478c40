/** Join tokens: a JWT with which a new workload asks for its first certificate. It also says where to ask, and by which root to know the answerer. */

import { createHash, type KeyObject, randomUUID, X509Certificate } from 'node:crypto'
import { defaultIdTemplate, whyNotIdTemplate } from '#base/id-template'
import type { Key } from './key.ts'
import { isSpiffeId, type SpiffeId } from './spiffe.ts'

const tokenAudience = 'weft-join'

/** What a token says. idTemplate: of the ids of the mesh. xds: `host:port` of the control plane. rootSha256: base64url, of the root certificate's DER. expiresAt: milliseconds since the epoch. */
export type JoinToken = {
  readonly identity: SpiffeId
  readonly xds: string
  readonly rootSha256: string
  readonly trustDomain: string
  readonly idTemplate: string
  readonly expiresAt: number
  readonly id: string
}

/** A token that cannot be used; the message is one sentence that says what to do. */
export class BadToken extends Error {}

type Claims = {
  readonly iss?: unknown
  readonly aud?: unknown
  readonly sub?: unknown
  readonly exp?: unknown
  readonly jti?: unknown
  readonly xds?: unknown
  readonly ca?: unknown
  readonly td?: unknown
  readonly tpl?: unknown
}

const anew = 'make a new one with: weft token create'

/** root: PEM. issuer: the SPIFFE id of the authority. */
export async function signToken(
  key: Key,
  token: Omit<JoinToken, 'id' | 'rootSha256' | 'idTemplate'> & { readonly root: string; readonly idTemplate?: string | undefined },
  issuer: SpiffeId,
  now: number,
): Promise<string> {
  const { SignJWT } = await import('jose')
  const { idTemplate = defaultIdTemplate } = token
  const more = idTemplate === defaultIdTemplate ? {} : { tpl: idTemplate }
  return new SignJWT({ xds: token.xds, ca: rootSha256(token.root), td: token.trustDomain, ...more })
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: tokenKeyId(key.public) })
    .setIssuer(issuer)
    .setSubject(token.identity)
    .setAudience(tokenAudience)
    .setIssuedAt(Math.floor(now / 1000))
    .setExpirationTime(Math.floor(token.expiresAt / 1000))
    .setJti(randomUUID())
    .sign(key.private)
}

/** What the token says, believed by nobody yet: for the client, which was given it by somebody it trusts. Throws BadToken. */
export function readToken(token: string, now: number): JoinToken {
  const parts = token.trim().split('.')
  let claims: Claims
  try {
    if (parts.length !== 3) throw new Error()
    claims = JSON.parse(Buffer.from(parts[1]!, 'base64url').toString('utf8'))
    if (typeof claims !== 'object' || claims === null) throw new Error()
  } catch {
    throw new BadToken(malformed)
  }
  return fromClaims(claims, now)
}

const malformed = `the join token is malformed (a token is three parts with dots between them); was it copied whole? Otherwise ${anew}`

/** Throws BadToken where its form alone shows that a token was not copied whole: its head is no JSON, or its signature has not the 64 bytes of one. */
export function expectWhole(token: string): void {
  const [head = '', , signature = ''] = token.trim().split('.')
  try {
    JSON.parse(Buffer.from(head, 'base64url').toString('utf8'))
  } catch {
    throw new BadToken(malformed)
  }
  if (!/^[\w-]{86}$/.test(signature)) throw new BadToken(malformed)
}

/** For the authority: the token as readToken gives it, proved to be its own. Throws BadToken. */
export async function verifyToken(token: string, key: KeyObject, now: number): Promise<JoinToken> {
  const read = readToken(token, now)
  const { compactVerify } = await import('jose')
  try {
    await compactVerify(token.trim(), key, { algorithms: ['ES256'] })
  } catch {
    throw new BadToken(`the join token is not signed by this control plane; was it made by another one? Here, ${anew}`)
  }
  return read
}

function fromClaims(claims: Claims, now: number): JoinToken {
  const { aud, sub, exp, jti, xds, ca, td, tpl = defaultIdTemplate } = claims
  if (aud !== tokenAudience)
    throw new BadToken(`the token is for "${String(aud)}" and not for joining the mesh ("${tokenAudience}"); ${anew}`)
  const complete =
    typeof sub === 'string' &&
    typeof exp === 'number' &&
    Math.abs(exp) < 1e12 &&
    typeof jti === 'string' &&
    typeof xds === 'string' &&
    typeof ca === 'string' &&
    typeof td === 'string' &&
    typeof tpl === 'string' &&
    whyNotIdTemplate(tpl) === undefined
  if (!complete || !isSpiffeId(sub)) throw new BadToken(`the join token lacks something that a token of this version says; ${anew}`)
  if (exp * 1000 <= now) throw new BadToken(`the join token expired at ${new Date(exp * 1000).toISOString()}; ${anew}`)
  return { identity: sub, xds, rootSha256: ca, trustDomain: td, idTemplate: tpl, expiresAt: exp * 1000, id: jti }
}

/** base64url SHA-256 of the certificate's DER, as tokens carry it. root: PEM. */
export const rootSha256 = (root: string): string => createHash('sha256').update(new X509Certificate(root).raw).digest('base64url')

/** Under which a token is remembered: hex SHA-256 of its text. */
export const tokenSha256 = (token: string): string => createHash('sha256').update(token.trim()).digest('hex')

const tokenKeyId = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64url')
    .slice(0, 16)
