/** Certificate requests (PKCS#10, RFC 2986): made by who wants a certificate, read by who gives it. */

import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import {
  bits,
  bodyOf,
  constructed,
  der,
  integer,
  isOid,
  octets,
  oid,
  primitive,
  readDer,
  sequence,
  set,
  tags,
  text,
  toPem,
  type Value,
  within,
  yes,
} from './der.ts'
import { ipBytes } from './ip.ts'
import type { Key } from './key.ts'
import type { SpiffeId } from './spiffe.ts'

export const oids = {
  ecdsaSha256: '1.2.840.10045.4.3.2',
  extensionRequest: '1.2.840.113549.1.9.14',
  subjectAltName: '2.5.29.17',
} as const

/** What a request asks for, once the possession of its key is proved. uris: the URI names it asks for; the signer decides what it gets. */
export type Request = { readonly publicKey: KeyObject; readonly uris: readonly string[] }

export class BadCsr extends Error {}

/** In PEM, with the id as its subject alternative name, and further ones where it is called by others too; the subject is empty. */
export function makeCsr(
  key: Key,
  id: SpiffeId,
  { dns = [], ips = [] }: { readonly dns?: readonly string[]; readonly ips?: readonly string[] } = {},
): string {
  const all = [text(primitive(6), id), ...dns.map(dnsName), ...ips.map(ip => der(primitive(7), ipBytes(ip)))]
  return toPem('CERTIFICATE REQUEST', requestFor(key, all))
}

/** In DER, for hosts alone, as a public authority wants it; the subject is empty. */
export const makeHostCsr = (key: Key, dns: readonly string[]): Uint8Array => requestFor(key, dns.map(dnsName))

const dnsName = (name: string): Uint8Array => text(primitive(2), name)

function requestFor(key: Key, all: readonly Uint8Array[]): Uint8Array {
  const names = sequence(sequence(oid(oids.subjectAltName), yes, octets(sequence(...all))))
  const attributes = der(constructed(0), sequence(oid(oids.extensionRequest), set(names)))
  const wanted = sequence(integer(Uint8Array.of(0)), sequence(), key.public.export({ type: 'spki', format: 'der' }), attributes)
  return sequence(wanted, sequence(oid(oids.ecdsaSha256)), bits(sign('sha256', wanted, key.private)))
}

/** hex SHA-256 of the public key that a request is for. Throws BadCsr. */
export const csrKeySha256 = (pem: string): string =>
  createHash('sha256')
    .update(readCsr(pem).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')

/** Reads a request in PEM and checks that its sender holds the key. Throws BadCsr with one sentence. About 100 µs of CPU (bench: see issue.ts). */
export function readCsr(pem: string): Request {
  let parts: ReturnType<typeof take>
  try {
    parts = take(pem)
  } catch {
    throw new BadCsr('the certificate request is not PKCS#10 in PEM form')
  }
  const { publicKey, uris, wanted, algorithm, signature } = parts
  const weak = whyWeak(publicKey)
  if (weak) throw new BadCsr(`the certificate request has ${weak}; use EC P-256`)
  const hash = hashes.find(([dotted, type]) => isOid(algorithm, dotted) && type === publicKey.asymmetricKeyType)
  if (!hash) throw new BadCsr('the certificate request is signed in a way that is not supported; use ECDSA with SHA-256')
  if (!verify(hash[2], wanted, publicKey, signature)) throw new BadCsr('the certificate request is not signed by the key that it names')
  return { publicKey, uris }
}

/** Signature algorithms: object identifier, type of key, hash. */
const hashes: readonly (readonly [string, string, string | undefined])[] = [
  [oids.ecdsaSha256, 'ec', 'sha256'],
  ['1.2.840.10045.4.3.3', 'ec', 'sha384'],
  ['1.2.840.10045.4.3.4', 'ec', 'sha512'],
  ['1.2.840.113549.1.1.11', 'rsa', 'sha256'],
  ['1.2.840.113549.1.1.12', 'rsa', 'sha384'],
  ['1.2.840.113549.1.1.13', 'rsa', 'sha512'],
  ['1.3.101.112', 'ed25519', undefined],
]

const maxLength = 64 * 1024

function take(pem: string) {
  if (pem.length > maxLength) throw new RangeError('too long')
  const base64 = /^-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----\s*$/m.exec(
    pem,
  )?.[1]
  const bytes = Buffer.from(base64 ?? '', 'base64')
  const [request, after] = readDer(bytes)
  if (after) throw new RangeError('something follows the request')
  const [info, algorithm, signature, more] = within(request, tags.sequence)
  if (more) throw new RangeError('the request has a fourth part')
  const [version, , publicKey, attributes] = within(info, tags.sequence)
  bodyOf(version, tags.integer)
  return {
    publicKey: createPublicKey({ key: Buffer.from(bodyAndHead(publicKey)), format: 'der', type: 'spki' }),
    uris: attributes ? requestedUris(within(attributes, constructed(0))) : [],
    wanted: info!.whole,
    algorithm: within(algorithm, tags.sequence)[0],
    signature: wholeBytes(bodyOf(signature, tags.bits)),
  }
}

/** The bytes of a bit string whose bits fill them. */
function wholeBytes(body: Uint8Array): Uint8Array {
  if (body[0] !== 0) throw new RangeError('a signature that is no whole number of bytes')
  return body.subarray(1)
}

function bodyAndHead(value: Value | undefined): Uint8Array {
  bodyOf(value, tags.sequence)
  return value!.whole
}

function requestedUris(attributes: readonly Value[]): readonly string[] {
  return attributes
    .map(attribute => within(attribute, tags.sequence))
    .filter(([type]) => isOid(type, oids.extensionRequest))
    .flatMap(([, values]) => within(values, tags.set))
    .flatMap(extensions => within(extensions, tags.sequence))
    .map(extension => within(extension, tags.sequence))
    .filter(([type]) => isOid(type, oids.subjectAltName))
    .flatMap(extension => within(readDer(bodyOf(extension.at(-1), tags.octets))[0], tags.sequence))
    .filter(name => name.tag === primitive(6))
    .map(name => Buffer.from(name.body).toString('latin1'))
}

function whyWeak(key: KeyObject): string | undefined {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'ec')
    return namedCurve === 'prime256v1' || namedCurve === 'secp384r1' ? undefined : `a key on the curve ${namedCurve}`
  if (key.asymmetricKeyType === 'rsa') return modulusLength >= 2048 ? undefined : `an RSA key of ${modulusLength} bits`
  return key.asymmetricKeyType === 'ed25519' ? undefined : `a key of type ${key.asymmetricKeyType}`
}
