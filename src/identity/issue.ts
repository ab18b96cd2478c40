/**
 * Makes certificates: a root, an intermediate under it, and the short-lived leaves that workloads prove themselves with (SPIFFE X.509-SVID).
 *
 * Written in DER directly: @peculiar/x509 needs 3 ms of CPU for a request and its leaf, this 0.15 ms, and a proxy starts 77 ms sooner. What
 * is written here is read in the tests by openssl, by @peculiar/x509 and by Node.
 */

import { createHash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { oids } from './csr.ts'
import {
  bits,
  bodyOf,
  constructed,
  der,
  integer,
  octets,
  oid,
  primitive,
  readDer,
  sequence,
  set,
  tags,
  text,
  time,
  toPem,
  within,
  yes,
} from './der.ts'
import { extensionOf } from './extensions.ts'
import { ipBytes } from './ip.ts'
import type { Key } from './key.ts'
import { type SpiffeId, trustDomainId } from './spiffe.ts'

/** Clocks of hosts differ: what is issued now is valid since this long ago. */
export const backdateMs = 5 * 60_000
const dayMs = 24 * 3_600_000
const defaultLifeMs = dayMs

/** A certificate that signs others, with its key and what stands above it. chain: PEM from this certificate up to, not including, the root. root: PEM. */
export type Signer = {
  readonly trustDomain: string
  readonly key: Key
  readonly certificate: X509Certificate
  readonly chain: readonly string[]
  readonly root: string
}

/** chain: PEM, leaf first, root last. Of several roots the one that it leads to is the first. Times: milliseconds since the epoch. */
export type Issued = { readonly chain: readonly string[]; readonly serial: string; readonly notBefore: number; readonly notAfter: number }

/** The root of a trust domain, signed by itself. lifeMs: ten years is usual. */
export function createRoot(trustDomain: string, key: Key, now: number, lifeMs = 3650 * dayMs): Signer {
  const name = caName('Weft root', key)
  const own = keyId(key.public)
  const certificate = signed(key, {
    issuer: name,
    subject: name,
    publicKey: key.public,
    ...validity(now, lifeMs),
    extensions: caExtensions(trustDomain, own, own),
  })
  return { trustDomain, key, certificate: new X509Certificate(certificate.pem), chain: [], root: certificate.pem }
}

/** A signer under another: what signs from day to day, so that the root's key may stay locked away. */
export function createIntermediate(root: Signer, key: Key, now: number, lifeMs = 365 * dayMs): Signer {
  const { subject: issuer, keyId: issuerKeyId } = named(root)
  const extensions = caExtensions(root.trustDomain, keyId(key.public), issuerKeyId, 0)
  const certificate = signed(root.key, {
    issuer,
    subject: caName('Weft intermediate', key),
    publicKey: key.public,
    ...validity(now, lifeMs, root),
    extensions,
  })
  return {
    trustDomain: root.trustDomain,
    key,
    certificate: new X509Certificate(certificate.pem),
    chain: [certificate.pem, ...root.chain],
    root: root.root,
  }
}

/** The certificate of `root` signed by another root: who trusts only that one believes what `root` signs, as long as it lasts. PEM. */
export function crossSign(by: Signer, root: Signer, now: number): string {
  const { subject: issuer, keyId: issuerKeyId } = named(by)
  const { subject, keyId: own } = named(root)
  const until = root.certificate.validToDate.getTime() - now
  return signed(by.key, {
    issuer,
    subject,
    publicKey: root.key.public,
    ...validity(now, until, by),
    extensions: caExtensions(root.trustDomain, own, issuerKeyId),
  }).pem
}

/** Puts a signer together again from what was kept. certificate and root: PEM. Throws RangeError when they do not belong together. */
export function openSigner(trustDomain: string, key: Key, certificate: string, root: string): Signer {
  const own = new X509Certificate(certificate)
  const top = new X509Certificate(root)
  if (!own.checkPrivateKey(key.private)) throw new RangeError('the private key does not belong to the certificate')
  if (!own.checkIssued(top) || !own.verify(top.publicKey)) throw new RangeError('the certificate is not signed by the root')
  return {
    trustDomain,
    key,
    certificate: own,
    chain: own.fingerprint256 === top.fingerprint256 ? [] : [own.toString()],
    root: top.toString(),
  }
}

/** dns, ips: further names, for servers that are also called by clients who know no SPIFFE (the control plane). */
export type LeafOptions = { readonly lifeMs?: number; readonly dns?: readonly string[]; readonly ips?: readonly string[] }

/**
 * Signs a leaf for a key whose possession is proved. X509-SVID §4.1: the subject is empty, so the subject alternative name is critical
 * (RFC 5280 §4.2.1.6); one URI; digitalSignature only; both TLS roles. Life is cut to that of the signer.
 */
export function issueLeaf(signer: Signer, publicKey: KeyObject, id: SpiffeId, now: number, options: LeafOptions = {}): Issued {
  const { lifeMs = defaultLifeMs, dns = [], ips = [] } = options
  const { subject: issuer, keyId: issuerKeyId } = named(signer)
  const names = [text(primitive(6), id), ...dns.map(name => text(primitive(2), name)), ...ips.map(ip => der(primitive(7), ipBytes(ip)))]
  const times = validity(now, lifeMs, signer)
  const extensions = [
    extension('2.5.29.19', sequence(), true), // basic constraints: no authority
    extension('2.5.29.15', bits(Uint8Array.of(0x80), 7), true), // key usage: digitalSignature
    extension('2.5.29.37', sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2'))), // extended key usage: serverAuth, clientAuth
    extension(oids.subjectAltName, sequence(...names), true),
    extension('2.5.29.35', sequence(der(primitive(0), issuerKeyId))), // authority key identifier
  ]
  const { pem, serial } = signed(signer.key, { issuer, subject: sequence(), publicKey, ...times, extensions })
  return { chain: [pem, ...signer.chain, signer.root], serial, ...times }
}

/** Whole seconds: X.509 keeps no more. */
function validity(now: number, lifeMs: number, signer?: Signer): { readonly notBefore: number; readonly notAfter: number } {
  const earliest = signer ? signer.certificate.validFromDate.getTime() : 0
  const latest = signer ? signer.certificate.validToDate.getTime() : Number.POSITIVE_INFINITY
  const seconds = (ms: number): number => Math.floor(ms / 1000) * 1000
  return { notBefore: seconds(Math.max(now - backdateMs, earliest)), notAfter: seconds(Math.min(now + lifeMs, latest)) }
}

/** Common name and serial number: the latter tells apart generations of one authority, because chains are built by name. */
function caName(title: string, key: Key): Uint8Array {
  const generation = keyId(key.public).toString('hex').slice(0, 16)
  return sequence(set(sequence(oid('2.5.4.3'), text(tags.utf8, title))), set(sequence(oid('2.5.4.5'), text(tags.printable, generation))))
}

function caExtensions(trustDomain: string, own: Uint8Array, issuer: Uint8Array, pathLength?: number): readonly Uint8Array[] {
  return [
    extension('2.5.29.19', sequence(yes, ...(pathLength === undefined ? [] : [integer(Uint8Array.of(pathLength))])), true),
    extension('2.5.29.15', bits(Uint8Array.of(0x06), 1), true), // keyCertSign, cRLSign
    extension(oids.subjectAltName, sequence(text(primitive(6), trustDomainId(trustDomain)))), // X509-SVID §4.1
    extension('2.5.29.14', octets(own)),
    extension('2.5.29.35', sequence(der(primitive(0), issuer))),
  ]
}

const extension = (type: string, value: Uint8Array, isCritical = false): Uint8Array =>
  sequence(oid(type), ...(isCritical ? [yes] : []), octets(value))

/** RFC 7093 §2, method 1: the left 160 bits of the SHA-256 of the key's bits. */
function keyId(key: KeyObject): Buffer {
  const [, point] = within(readDer(key.export({ type: 'spki', format: 'der' }))[0], tags.sequence)
  return createHash('sha256').update(bodyOf(point, tags.bits).subarray(1)).digest().subarray(0, 20)
}

type Named = { readonly subject: Uint8Array; readonly keyId: Uint8Array }
const known = new WeakMap<X509Certificate, Named>()
/** How the signer's own certificate names it and its key, read once. */
function named({ certificate }: Signer): Named {
  const before = known.get(certificate)
  if (before) return before
  const [inside] = within(readDer(certificate.raw)[0], tags.sequence)
  const own = extensionOf(certificate, '2.5.29.14')
  const read = {
    subject: within(inside, tags.sequence)[5]!.whole,
    keyId: own ? bodyOf(own, tags.octets) : keyId(certificate.publicKey),
  }
  known.set(certificate, read)
  return read
}

type Wanted = {
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly publicKey: KeyObject
  readonly notBefore: number
  readonly notAfter: number
  readonly extensions: readonly Uint8Array[]
}

/** How a key signs: the identifier of the algorithm (RFC 5758, RFC 4055, RFC 8410) and the hash; Ed25519 has its own. */
function signing({ private: key }: Key): { readonly algorithm: Uint8Array; readonly hash: string | null } {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return { algorithm: rsa, hash: 'sha256' }
    case 'ed25519':
      return { algorithm: ed25519, hash: null }
    default:
      return { algorithm: ecdsa, hash: 'sha256' }
  }
}
const ecdsa = sequence(oid(oids.ecdsaSha256))
const rsa = sequence(oid('1.2.840.113549.1.1.11'), der(0x05))
const ed25519 = sequence(oid('1.3.101.112'))
const version3 = der(constructed(0), integer(Uint8Array.of(2)))

/** RFC 5280 §4.1. */
function signed(
  key: Key,
  { issuer, subject, publicKey, notBefore, notAfter, extensions }: Wanted,
): { readonly pem: string; readonly serial: string } {
  const serial = newSerial()
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const times = sequence(time(notBefore), time(notAfter))
  const pem = signAs('CERTIFICATE', key, algorithm => [
    version3,
    integer(serial),
    algorithm,
    issuer,
    times,
    subject,
    spki,
    der(constructed(3), sequence(...extensions)),
  ])
  return { pem, serial: serial.toString('hex') }
}

/** What certificates and revocation lists have in common: the fields, which name the algorithm, that again, and the signature. PEM. */
export function signAs(label: string, key: Key, fields: (algorithm: Uint8Array) => readonly Uint8Array[]): string {
  const { algorithm, hash } = signing(key)
  const inside = sequence(...fields(algorithm))
  return toPem(label, sequence(inside, algorithm, bits(sign(hash, inside, key.private))))
}

/** 16 random bytes, positive and without a leading zero (RFC 5280 §4.1.2.2). */
function newSerial(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x7f) | 0x40
  return bytes
}
