/**
 * Signed tokens of others (JWT, RFC 7519) verified by the rules of RFC 8725: the algorithm is that of the key, never the token's choice.
 *
 *   text ─▶ readJwt: shape, no `crit`, nothing twice ─▶ KeyRing.verify: key by kid and alg ─▶ signature ─▶ iss, aud, exp, nbf, iat ─▶ claims
 */

import type { CryptoKey, JWK } from 'jose'

/** code: what the caller is told; the message is one sentence without anything that the caller wrote. */
export class TokenRefused {
  readonly code: 'token-invalid' | 'token-expired'
  readonly message: string
  constructor(message: string, code: TokenRefused['code'] = 'token-invalid') {
    this.message = message
    this.code = code
  }
}

export type JwtClaims = Readonly<Record<string, unknown>>
/** What a token says before anybody has verified it: to find its issuer and its key by, and for nothing else. */
export type Unverified = { readonly text: string; readonly alg: string; readonly kid: string | undefined; readonly issuer: string }
/** until: from then on it holds no more, clocks that differ included; ms since the epoch. */
export type Verified = { readonly claims: JwtClaims; readonly until: number }
/** issuer, audiences: to the letter; no audiences: any. */
export type Expected = { readonly issuer: string; readonly audiences: readonly string[]; readonly skewMs: number }

/** Longer ones are refused unread. */
export const longestToken = 16_384
/** RFC 8725 §3.11: what says that it is something else is no token of access or identity. */
const types = /^(?:application\/)?(?:jwt|at\+jwt)$/i

/** Throws TokenRefused. */
export function readJwt(text: string): Unverified {
  if (text.length > longestToken) throw new TokenRefused(`it is longer than ${longestToken} bytes`)
  const parts = text.split('.')
  if (parts.length !== 3 || parts.some(part => !isBase64url(part)) || parts[2] === '')
    throw new TokenRefused('it is not three parts of base64url')
  const header = partOf(parts[0]!, 'header')
  const claims = partOf(parts[1]!, 'payload')
  const { alg, kid, typ, crit } = header
  if (crit !== undefined) throw new TokenRefused('it demands an extension (crit) that is not known here')
  if (header['b64'] !== undefined) throw new TokenRefused('its payload is coded otherwise (b64)')
  if (typeof alg !== 'string' || !/^(?:RS|PS|ES)(?:256|384|512)$|^EdDSA$/.test(alg))
    throw new TokenRefused('it is not signed by an algorithm that is taken')
  if (kid !== undefined && typeof kid !== 'string') throw new TokenRefused('its kid is no text')
  if (typ !== undefined && (typeof typ !== 'string' || !types.test(typ))) throw new TokenRefused('it is of another type (typ)')
  if (typeof claims['iss'] !== 'string') throw new TokenRefused('it names no issuer')
  return { text, alg, kid, issuer: claims['iss'] }
}

/** Without padding, of a length that there is, and with no bit set that says nothing: else one token has many texts (RFC 4648 §3.5). */
const isBase64url = (text: string): boolean => /^(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?$/.test(text)

function partOf(part: string, name: string): JwtClaims {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(part, 'base64url'))
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TokenRefused(`its ${name} is no object of JSON`)
    // RFC 7519 §4: of two of a name readers differ in which counts.
    if (saysTwice(text)) throw new TokenRefused(`its ${name} says something twice`)
    return value as JwtClaims
  } catch (thrown) {
    if (thrown instanceof TokenRefused) throw thrown
    throw new TokenRefused(`its ${name} is no JSON in UTF-8`)
  }
}

/** text: valid JSON. A text before a colon is a name, every other one a value. */
function saysTwice(text: string): boolean {
  const open: (Set<string> | undefined)[] = []
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"\s*:?|[{}[\]]/g)) {
    if (token === '{') open.push(new Set())
    else if (token === '[') open.push(undefined)
    else if (token === '}' || token === ']') open.pop()
    else if (token.endsWith(':')) {
      const name = JSON.parse(token.slice(0, token.lastIndexOf('"') + 1)) as string
      const names = open.at(-1)!
      if (names.has(name)) return true
      names.add(name)
    }
  }
  return false
}

type Key = { readonly kid: string | undefined; readonly alg: string; readonly key: CryptoKey | Uint8Array }

/** So many keys are tried for one token that names none of them. */
const mostTried = 8

/** The keys of one issuer, ready to verify with; a ring is never changed. */
export class KeyRing {
  readonly #keys: readonly Key[]
  private constructor(keys: readonly Key[]) {
    this.#keys = keys
  }

  /** keys: each with its one algorithm. What cannot be used is left out. */
  static async of(keys: readonly (JWK & { readonly alg: string })[]): Promise<KeyRing> {
    const { importJWK } = await import('jose')
    const made = await Promise.all(
      keys.map(async (jwk): Promise<Key | undefined> => {
        try {
          return { kid: jwk.kid, alg: jwk.alg, key: await importJWK(jwk, jwk.alg) }
        } catch {
          return undefined
        }
      }),
    )
    return new KeyRing(made.filter(each => each !== undefined))
  }

  get size(): number {
    return this.#keys.length
  }

  /** Whether some key may have signed it; if not, keys may have changed since. */
  mayKnow(token: Unverified): boolean {
    return this.#fitting(token).length > 0
  }

  /** now: ms since the epoch. Throws TokenRefused. */
  async verify(token: Unverified, expected: Expected, now: number): Promise<Verified> {
    const fitting = this.#fitting(token)
    if (fitting.length === 0) throw new TokenRefused('no key of its issuer fits it')
    for (const each of fitting.slice(0, mostTried)) {
      const claims = await signedBy(token, each)
      if (claims !== undefined) return judge(claims, expected, now)
    }
    throw new TokenRefused('its signature does not fit')
  }

  #fitting({ alg, kid }: Unverified): readonly Key[] {
    return this.#keys.filter(each => each.alg === alg && (kid === undefined || each.kid === undefined || each.kid === kid))
  }
}

async function signedBy({ text }: Unverified, { key, alg }: Key): Promise<JwtClaims | undefined> {
  const { compactVerify } = await import('jose')
  try {
    const { payload } = await compactVerify(text, key, { algorithms: [alg] })
    return JSON.parse(new TextDecoder().decode(payload)) as JwtClaims
  } catch {
    return undefined
  }
}

/** RFC 7519 §4.1; times are whole seconds or parts of one. */
function judge(claims: JwtClaims, { issuer, audiences, skewMs }: Expected, now: number): Verified {
  if (claims['iss'] !== issuer) throw new TokenRefused('its issuer is another')
  const aud = claims['aud']
  const named = typeof aud === 'string' ? [aud] : Array.isArray(aud) ? (aud as unknown[]) : []
  if (audiences.length > 0 && !audiences.some(each => named.includes(each))) throw new TokenRefused('it is for another audience')
  const exp = timeOf(claims, 'exp')
  const nbf = timeOf(claims, 'nbf')
  const iat = timeOf(claims, 'iat')
  if (exp === undefined) throw new TokenRefused('it says no time at which it ends (exp)')
  if (exp + skewMs <= now) throw new TokenRefused('it has expired', 'token-expired')
  if (nbf !== undefined && nbf - skewMs > now) throw new TokenRefused('it does not hold yet (nbf)')
  if (iat !== undefined && iat - skewMs > now) throw new TokenRefused('it was issued in the future (iat)')
  return { claims, until: exp + skewMs }
}

function timeOf(claims: JwtClaims, name: string): number | undefined {
  const value = claims[name]
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new TokenRefused(`its ${name} is no number`)
  return value * 1000
}
