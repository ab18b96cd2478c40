/** Makes certificates: a root, an intermediate under it, and the short-lived leaves that workloads prove themselves with (SPIFFE X.509-SVID). */

import { createHash, createPublicKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto'
import type { Extension, X509CertificateCreateParams } from '@peculiar/x509'
import type { Key } from './key.ts'
import { type SpiffeId, trustDomainId } from './spiffe.ts'
import { ecdsa, webKey, x509 } from './x509.ts'

/** Clocks of hosts differ: what is issued now is valid since this long ago. */
export const backdateMs = 5 * 60_000
export const hourMs = 3_600_000
export const dayMs = 24 * hourMs
export const defaultLifeMs = 24 * hourMs

/** A certificate that signs others, with its key and what stands above it. chain: PEM from this certificate up to, not including, the root. root: PEM. */
export type Signer = {
  readonly trustDomain: string
  readonly key: Key
  readonly certificate: X509Certificate
  readonly chain: readonly string[]
  readonly root: string
}

/** chain: PEM, leaf first, root last. */
export type Issued = { readonly chain: readonly string[]; readonly serial: string; readonly notBefore: number; readonly notAfter: number }

/** What a request asks for, once the possession of its key is proved. uris: the URI names it asks for; the signer decides what it gets. */
export type Request = { readonly publicKey: KeyObject; readonly uris: readonly string[] }

export class BadCsr extends Error {}

/** Reads a PKCS#10 request in PEM and checks that its sender holds the key. Throws BadCsr with one sentence. */
export async function readCsr(pem: string): Promise<Request> {
  const { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } = await x509()
  let request: InstanceType<typeof Pkcs10CertificateRequest>
  let publicKey: KeyObject
  try {
    request = new Pkcs10CertificateRequest(pem)
    publicKey = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' })
  } catch {
    throw new BadCsr('the certificate request is not PKCS#10 in PEM form')
  }
  const weak = whyWeak(publicKey)
  if (weak) throw new BadCsr(`the certificate request has ${weak}; use EC P-256`)
  if (!(await request.verify().catch(() => false))) throw new BadCsr('the certificate request is not signed by the key that it names')
  const names = request.extensions.find(extension => extension instanceof SubjectAlternativeNameExtension)?.names.toJSON() ?? []
  return { publicKey, uris: names.filter(name => name.type === 'url').map(name => name.value) }
}

function whyWeak(key: KeyObject): string | undefined {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'ec')
    return namedCurve === 'prime256v1' || namedCurve === 'secp384r1' ? undefined : `a key on the curve ${namedCurve}`
  if (key.asymmetricKeyType === 'rsa') return modulusLength >= 2048 ? undefined : `an RSA key of ${modulusLength} bits`
  return key.asymmetricKeyType === 'ed25519' ? undefined : `a key of type ${key.asymmetricKeyType}`
}

/** The root of a trust domain, signed by itself. lifeMs: ten years is usual. */
export async function createRoot(trustDomain: string, key: Key, now: number, lifeMs = 3650 * dayMs): Promise<Signer> {
  const name = caName('Weft root', key)
  const der = await sign(key, {
    subject: name,
    issuer: name,
    publicKey: webKey(key.public),
    ...validity(now, lifeMs),
    extensions: await caExtensions(trustDomain, key.public, key.public, undefined),
  })
  const certificate = new X509Certificate(der)
  return { trustDomain, key, certificate, chain: [], root: certificate.toString() }
}

/** A signer under another: what signs from day to day, so that the root's key may stay locked away. */
export async function createIntermediate(root: Signer, key: Key, now: number, lifeMs = 365 * dayMs): Promise<Signer> {
  const der = await sign(root.key, {
    subject: caName('Weft intermediate', key),
    issuer: await subjectOf(root),
    publicKey: webKey(key.public),
    ...validity(now, lifeMs, root),
    extensions: await caExtensions(root.trustDomain, key.public, root.key.public, 0),
  })
  const certificate = new X509Certificate(der)
  return { trustDomain: root.trustDomain, key, certificate, chain: [certificate.toString(), ...root.chain], root: root.root }
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
 * (RFC 5280 §4.2.1.6); one URI; digitalSignature only; both TLS roles. Life is cut to that of the signer. At most ~0.4 ms of CPU.
 */
export async function issueLeaf(
  signer: Signer,
  publicKey: KeyObject,
  id: SpiffeId,
  now: number,
  options: LeafOptions = {},
): Promise<Issued> {
  const library = await x509()
  const { lifeMs = defaultLifeMs, dns = [], ips = [] } = options
  const names = [
    { type: 'url' as const, value: id as string },
    ...dns.map(value => ({ type: 'dns' as const, value })),
    ...ips.map(value => ({ type: 'ip' as const, value })),
  ]
  const serial = newSerial()
  const times = validity(now, lifeMs, signer)
  const der = await sign(
    signer.key,
    {
      subject: [],
      issuer: await subjectOf(signer),
      publicKey: new library.PublicKey(publicKey.export({ type: 'spki', format: 'der' })),
      ...times,
      extensions: [
        new library.BasicConstraintsExtension(false, undefined, true),
        new library.KeyUsagesExtension(library.KeyUsageFlags.digitalSignature, true),
        new library.ExtendedKeyUsageExtension([library.ExtendedKeyUsage.serverAuth, library.ExtendedKeyUsage.clientAuth]),
        new library.SubjectAlternativeNameExtension(names, true),
        new library.AuthorityKeyIdentifierExtension(keyId(signer.key.public)),
      ],
    },
    serial,
  )
  return {
    chain: [toPem(der), ...signer.chain, signer.root],
    serial,
    notBefore: times.notBefore.getTime(),
    notAfter: times.notAfter.getTime(),
  }
}

function validity(now: number, lifeMs: number, signer?: Signer): { notBefore: Date; notAfter: Date } {
  const earliest = signer ? signer.certificate.validFromDate.getTime() : 0
  const latest = signer ? signer.certificate.validToDate.getTime() : Number.POSITIVE_INFINITY
  // whole seconds: X.509 keeps no more
  const seconds = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000)
  return { notBefore: seconds(Math.max(now - backdateMs, earliest)), notAfter: seconds(Math.min(now + lifeMs, latest)) }
}

/** The serial in the name tells apart generations of the same authority: chains are built by name. */
const caName = (title: string, key: Key) => [{ CN: [title] }, { '2.5.4.5': [keyId(key.public).slice(0, 16)] }]

const subjects = new WeakMap<Signer, Promise<Exclude<X509CertificateCreateParams['issuer'], undefined>>>()
/** The signer's name, parsed once. */
function subjectOf(signer: Signer) {
  const known = subjects.get(signer) ?? x509().then(library => new library.X509Certificate(signer.certificate.raw).subjectName)
  subjects.set(signer, known)
  return known
}

async function caExtensions(trustDomain: string, own: KeyObject, issuer: KeyObject, pathLength: number | undefined): Promise<Extension[]> {
  const library = await x509()
  return [
    new library.BasicConstraintsExtension(true, pathLength, true),
    new library.KeyUsagesExtension(library.KeyUsageFlags.keyCertSign | library.KeyUsageFlags.cRLSign, true),
    new library.SubjectAlternativeNameExtension([{ type: 'url', value: trustDomainId(trustDomain) }]), // X509-SVID §4.1
    new library.SubjectKeyIdentifierExtension(keyId(own)),
    new library.AuthorityKeyIdentifierExtension(keyId(issuer)),
  ]
}

/** RFC 7093 §2, method 1: the left 160 bits of SHA-256. */
function keyId(key: KeyObject): string {
  const spki = key.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki.subarray(26)).digest('hex').slice(0, 40) // P-256: the point begins at byte 26
}

/** 16 random bytes, positive and without a leading zero (RFC 5280 §4.1.2.2), lower-case hex. */
function newSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x7f) | 0x40
  return bytes.toString('hex')
}

type Wanted = {
  subject: X509CertificateCreateParams['subject']
  issuer: X509CertificateCreateParams['issuer']
  publicKey: unknown
  notBefore: Date
  notAfter: Date
  extensions: Extension[]
}

async function sign(key: Key, wanted: Wanted, serialNumber = newSerial()): Promise<Uint8Array> {
  const { X509CertificateGenerator } = await x509()
  const signed = await X509CertificateGenerator.create({
    ...wanted,
    serialNumber,
    signingAlgorithm: ecdsa,
    signingKey: signingKey(key),
  } as X509CertificateCreateParams)
  return new Uint8Array(signed.rawData)
}

const signingKeys = new WeakMap<Key, ReturnType<typeof webKey>>()
function signingKey(key: Key): ReturnType<typeof webKey> {
  const known = signingKeys.get(key) ?? webKey(key.private)
  signingKeys.set(key, known)
  return known
}

/** DER to PEM (RFC 7468). */
export const toPem = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(der)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`
