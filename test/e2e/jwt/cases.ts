/** Tokens good and hostile, and what each data plane answers: one table for our proxy, for Envoy, and for a mesh. */

import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { SignJWT } from 'jose'

export const issuer = 'https://staff.example'
export const audience = 'shop'

const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const edwards = generateKeyPairSync('ed25519')
const strange = generateKeyPairSync('rsa', { modulusLength: 2048 })

const jwk = (key: KeyObject, kid: string, more: object = {}): object => ({
  ...createPublicKey(key).export({ format: 'jwk' }),
  kid,
  ...more,
})
/** A shared secret among the keys: nothing may be signed by it. */
const secret = Buffer.from('a shared secret that stands among the keys')
export const keySet = {
  keys: [
    jwk(pair.privateKey, 'rsa'),
    jwk(curve.privateKey, 'ec', { alg: 'ES256', use: 'sig' }),
    jwk(edwards.privateKey, 'ed'),
    { kty: 'oct', k: secret.toString('base64url'), kid: 'shared', alg: 'HS256' },
  ],
}

const now = () => Math.floor(Date.now() / 1000)
export type Signing = { readonly header?: object; readonly key?: KeyObject; readonly alg?: string }

/** A token of which all is as it should be but for what is said here. A claim of undefined is left out. */
export async function token(
  claims: Readonly<Record<string, unknown>> = {},
  { header = {}, key = pair.privateKey, alg = 'RS256' }: Signing = {},
): Promise<string> {
  const all = { iss: issuer, aud: audience, sub: 'ann', exp: now() + 600, iat: now(), ...claims }
  const said = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  return new SignJWT(said).setProtectedHeader({ alg, kid: 'rsa', typ: 'JWT', ...header }).sign(key)
}

const base64url = (value: string | object): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

async function handMade(
  header: string | object,
  payload: string | object,
  sign: 'hs256' | 'none' | 'rs256',
  hmacKey: string | Buffer = '',
): Promise<string> {
  const text = `${base64url(header)}.${base64url(payload)}`
  if (sign === 'none') return `${text}.`
  if (sign === 'hs256') return `${text}.${createHmac('sha256', hmacKey).update(text).digest('base64url')}`
  const { sign: rsa } = await import('node:crypto')
  return `${text}.${rsa('sha256', Buffer.from(text), pair.privateKey).toString('base64url')}`
}

const claimsNow = (more: object = {}) => ({ iss: issuer, aud: audience, sub: 'ann', exp: now() + 600, ...more })

/** lines: of the header, name after value. path: absent: /. weft: the failure code, or ok. envoy: the status where it is another. sees: of what arrives. */
export type Case = {
  readonly name: string
  readonly lines: readonly string[]
  readonly path?: string
  readonly weft: 'ok' | 'token-missing' | 'token-invalid' | 'token-expired' | 'access-denied'
  readonly envoy?: number
  /** Only over HTTP/1.1: others cannot say it. */
  readonly isHttp1?: true
}
const bearer = (text: string): readonly string[] => ['authorization', `Bearer ${text}`]

export async function cases(): Promise<readonly Case[]> {
  const good = await token({ groups: ['staff', 'admin'] })
  const [head, body, signature] = good.split('.') as [string, string, string]
  const publicPem = createPublicKey(pair.privateKey).export({ type: 'spki', format: 'pem' }) as string
  const admin = { groups: ['admin'] }
  return [
    { name: 'a good token', lines: bearer(good), weft: 'ok' },
    {
      name: 'ES256, with the kid of its key',
      lines: bearer(await token(admin, { key: curve.privateKey, alg: 'ES256', header: { kid: 'ec' } })),
      weft: 'ok',
    },
    { name: 'a tab behind the scheme', lines: ['authorization', `Bearer\t${good}`], weft: 'ok', envoy: 401 },
    { name: 'a bad token behind a tab', lines: ['authorization', 'Bearer\tx.y.z'], weft: 'token-invalid' },
    { name: 'EdDSA', lines: bearer(await token(admin, { key: edwards.privateKey, alg: 'EdDSA', header: { kid: 'ed' } })), weft: 'ok' },
    { name: 'PS256 without a kid', lines: bearer(await token(admin, { alg: 'PS256', header: { kid: undefined } })), weft: 'ok' },
    { name: 'several audiences, one of them ours', lines: bearer(await token({ ...admin, aud: ['other', audience] })), weft: 'ok' },
    { name: 'expired within the skew of clocks', lines: bearer(await token({ ...admin, exp: now() - 20 })), weft: 'ok' },
    { name: 'in the query', lines: [], path: `/?a=1&token=${good}&b=2`, weft: 'ok' },
    { name: 'in a cookie', lines: ['cookie', `a=1; session=${good}; b=2`], weft: 'ok' },
    { name: 'a role by a claim that is a text', lines: bearer(await token({ groups: 'admin' })), weft: 'ok' },
    { name: 'another role', lines: bearer(await token({ groups: ['staff'] })), weft: 'access-denied' },
    { name: 'a role that only begins like it', lines: bearer(await token({ groups: ['administrator'] })), weft: 'access-denied' },
    { name: 'the claim as an object', lines: bearer(await token({ groups: { admin: true } })), weft: 'access-denied' },
    {
      name: 'a header in place of the claim',
      lines: [...bearer(await token()), 'groups', 'admin', 'x-groups', 'admin'],
      weft: 'access-denied',
    },
    { name: 'no token', lines: [], weft: 'token-missing' },
    { name: 'another scheme', lines: ['authorization', 'Basic YTpi'], weft: 'token-missing' },
    { name: 'alg none', lines: bearer(await handMade({ alg: 'none' }, claimsNow(admin), 'none')), weft: 'token-invalid' },
    {
      name: 'alg None with a signature of another',
      lines: bearer(`${base64url({ alg: 'None' })}.${body}.${signature}`),
      weft: 'token-invalid',
    },
    {
      name: 'HS256 with the public key as the secret',
      lines: bearer(await handMade({ alg: 'HS256', kid: 'rsa' }, claimsNow(admin), 'hs256', publicPem)),
      weft: 'token-invalid',
    },
    {
      name: 'HS256 with a secret that stands among the keys',
      lines: bearer(await handMade({ alg: 'HS256', kid: 'shared' }, claimsNow(admin), 'hs256', secret)),
      weft: 'token-invalid',
    },
    {
      name: 'a kid that is a path',
      lines: bearer(await token(admin, { header: { kid: '../../../../dev/null' }, key: strange.privateKey })),
      weft: 'token-invalid',
    },
    { name: 'a kid of another key', lines: bearer(await token(admin, { header: { kid: 'ec' } })), weft: 'token-invalid' },
    {
      name: 'keys in the header',
      lines: bearer(
        await token(admin, { key: strange.privateKey, header: { jwk: jwk(strange.privateKey, 'rsa'), jku: 'http://127.0.0.1/keys' } }),
      ),
      weft: 'token-invalid',
    },
    { name: 'signed by a stranger', lines: bearer(await token(admin, { key: strange.privateKey })), weft: 'token-invalid' },
    { name: 'an algorithm that is not taken', lines: bearer(await token(admin, { alg: 'RS512' })), weft: 'token-invalid' },
    { name: 'a payload that was changed', lines: bearer(`${head}.${base64url(claimsNow(admin))}.${signature}`), weft: 'token-invalid' },
    { name: 'expired', lines: bearer(await token({ ...admin, exp: now() - 3600 })), weft: 'token-expired' },
    { name: 'not valid yet', lines: bearer(await token({ ...admin, nbf: now() + 3600 })), weft: 'token-invalid' },
    // Envoy does not look at iat, RFC 7519 does not demand it.
    { name: 'issued in the future', lines: bearer(await token({ ...admin, iat: now() + 3600 })), weft: 'token-invalid', envoy: 200 },
    { name: 'without an end', lines: bearer(await token({ ...admin, exp: undefined })), weft: 'token-invalid' },
    {
      name: 'an end that is a text',
      lines: bearer(await handMade({ alg: 'RS256', kid: 'rsa' }, claimsNow({ ...admin, exp: '9999999999' }), 'rs256')),
      weft: 'token-invalid',
    },
    { name: 'another issuer', lines: bearer(await token({ ...admin, iss: 'https://other.example' })), weft: 'token-invalid' },
    { name: 'an issuer that only ends otherwise', lines: bearer(await token({ ...admin, iss: `${issuer}/` })), weft: 'token-invalid' },
    { name: 'no issuer', lines: bearer(await token({ ...admin, iss: undefined })), weft: 'token-invalid' },
    // Envoy answers 403 of audiences.
    { name: 'another audience', lines: bearer(await token({ ...admin, aud: 'other' })), weft: 'token-invalid', envoy: 403 },
    { name: 'no audience', lines: bearer(await token({ ...admin, aud: undefined })), weft: 'token-invalid', envoy: 403 },
    // Envoy takes what demands an extension that it does not know, and types of other things.
    {
      name: 'crit',
      lines: bearer(await handMade({ alg: 'RS256', kid: 'rsa', crit: ['x'], x: 1 }, claimsNow(admin), 'rs256')),
      weft: 'token-invalid',
      envoy: 200,
    },
    { name: 'another type', lines: bearer(await token(admin, { header: { typ: 'logout+jwt' } })), weft: 'token-invalid', envoy: 200 },
    {
      name: 'a claim twice',
      lines: bearer(await handMade({ alg: 'RS256', kid: 'rsa' }, JSON.stringify(claimsNow(admin)).replace('{', '{"sub":"root",'), 'rs256')),
      weft: 'token-invalid',
    },
    { name: 'two parts', lines: bearer(`${head}.${body}`), weft: 'token-invalid' },
    { name: 'malformed base64', lines: bearer(`${head}.${body}.!!!!`), weft: 'token-invalid' },
    { name: 'base64 with padding', lines: bearer(`${head}.${body}.${signature}==`), weft: 'token-invalid', envoy: 200 },
    { name: 'no JSON', lines: bearer(`${head}.${base64url('not json')}.${signature}`), weft: 'token-invalid' },
    { name: 'nothing after the scheme', lines: ['authorization', 'Bearer x'], weft: 'token-invalid' },
    { name: 'a huge token', lines: bearer(await token({ ...admin, padding: 'x'.repeat(20_000) })), weft: 'token-invalid', envoy: 200 },
    // Envoy wants each of several to be good, and takes two that are.
    { name: 'in two places, both good', lines: bearer(good), path: `/?token=${good}`, weft: 'token-invalid', envoy: 200 },
    { name: 'in two places, one bad', lines: bearer(good), path: '/?token=bad', weft: 'token-invalid' },
    {
      name: 'two Authorization headers',
      lines: [...bearer(good), ...bearer(await token({ sub: 'root' }))],
      weft: 'token-invalid',
      isHttp1: true,
    },
  ]
}
