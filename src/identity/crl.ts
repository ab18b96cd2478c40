/** Certificate revocation lists (RFC 5280 §5): makes the mesh's own, and reads anybody's. */

import { type KeyObject, verify as checkSignature, type X509Certificate } from 'node:crypto'
import { type Certificate, pemBlocks } from './certificate.ts'
import {
  bodyOf,
  constructed,
  der,
  integer,
  isOid,
  octets,
  oid,
  readDer,
  readTime,
  sequence,
  tags,
  time,
  toPem,
  type Value,
  within,
} from './der.ts'
import { extensionOf } from './extensions.ts'
import { type Signer, signAs } from './issue.ts'

/** CRLReason, RFC 5280 §5.3.1; aACompromise and removeFromCRL have no use here. */
export const crlReasons = {
  Unspecified: 0,
  KeyCompromise: 1,
  CACompromise: 2,
  AffiliationChanged: 3,
  Superseded: 4,
  CessationOfOperation: 5,
  CertificateHold: 6,
  PrivilegeWithdrawn: 9,
} as const
export type CrlReason = keyof typeof crlReasons

/** serial: lower-case hex. at: ms since the epoch. */
export type CrlEntry = { readonly serial: string; readonly at: number; readonly reason: CrlReason }

/** number: rises with every list of this issuer. Times: ms since the epoch. */
export type CrlWanted = {
  readonly number: bigint
  readonly thisUpdate: number
  readonly nextUpdate: number
  readonly entries: readonly CrlEntry[]
}

/** A list as read. issuer: hex of the DER of its name, as `issuerOf` has it of a certificate. entries: reason by serial. nextUpdate: absent where the list does not say when it ends. */
export type Crl = {
  readonly issuer: string
  readonly number: bigint | undefined
  readonly thisUpdate: number
  readonly nextUpdate: number | undefined
  readonly entries: ReadonlyMap<string, { readonly at: number; readonly reason: number }>
  readonly pem: string
  readonly isSignedBy: (issuer: Certificate) => boolean
}

const version2 = integer(Uint8Array.of(1))

/** Version 2, with the extensions that RFC 5280 §5.2 demands: authority key identifier and CRL number. PEM. */
export function makeCrl(signer: Signer, { number, thisUpdate, nextUpdate, entries }: CrlWanted): string {
  const revoked = entries.map(({ serial, at, reason }) =>
    sequence(
      integer(Buffer.from(serial, 'hex')),
      time(at),
      // §5.3.1: unspecified is said by saying nothing.
      ...(reason === 'Unspecified' ? [] : [sequence(extension('2.5.29.21', der(enumerated, Uint8Array.of(crlReasons[reason]))))]),
    ),
  )
  const { subject, keyId } = nameOf(signer.certificate)
  const extensions = [
    ...(keyId === undefined ? [] : [extension('2.5.29.35', sequence(der(0x80, keyId)))]),
    extension('2.5.29.20', integer(bytesOf(number))),
  ]
  return signAs('X509 CRL', signer.key, algorithm => [
    version2,
    algorithm,
    subject,
    time(thisUpdate),
    time(nextUpdate),
    // §5.1.2.6: absent when nothing is revoked.
    ...(revoked.length === 0 ? [] : [sequence(...revoked)]),
    der(constructed(0), sequence(...extensions)),
  ])
}

const enumerated = 10
const extension = (type: string, value: Uint8Array): Uint8Array => sequence(oid(type), octets(value))

function bytesOf(number: bigint): Uint8Array {
  const hex = number.toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
}

/** PEM with one list or more, or one in DER. Throws RangeError with a sentence about what is wrong. */
export function readCrls(source: string | Uint8Array): readonly Crl[] {
  const text = typeof source === 'string' ? source : Buffer.from(source).toString('latin1')
  const blocks = pemBlocks(text, 'X509 CRL')
  if (blocks.length > 0) return blocks.map(block => readOne(Buffer.from(block.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')))
  if (typeof source === 'string') throw new RangeError('there is no X509 CRL in this text')
  return [readOne(source)]
}

function readOne(bytes: Uint8Array): Crl {
  const parts = within(readDer(bytes)[0], tags.sequence)
  const [inside, algorithm, signature] = parts
  const fields = [...within(inside, tags.sequence)]
  if (fields[0]?.tag === tags.integer) fields.shift()
  const [, issuer, thisUpdate, ...rest] = fields
  const nextUpdate = rest[0]?.tag === tags.utcTime || rest[0]?.tag === tags.generalizedTime ? rest.shift() : undefined
  const revoked = rest[0]?.tag === tags.sequence ? within(rest.shift(), tags.sequence) : []
  const extensions = rest[0] === undefined ? [] : within(within(rest[0], constructed(0))[0], tags.sequence)
  for (const one of extensions) refuseUnknown(one)
  if (issuer === undefined || thisUpdate === undefined) throw new RangeError('the revocation list has no issuer or no date')
  return {
    issuer: hexOf(issuer.whole),
    number: numberIn(extensions),
    thisUpdate: readTime(thisUpdate),
    nextUpdate: nextUpdate && readTime(nextUpdate),
    entries: new Map(revoked.map(entryOf)),
    pem: toPem('X509 CRL', bytes),
    isSignedBy: certificate =>
      hexOf(nameOf(certificate).subject) === hexOf(issuer.whole) &&
      isSigned(inside!.whole, algorithm, bodyOf(signature, tags.bits).subarray(1), certificate.publicKey),
  }
}

function entryOf(value: Value): readonly [string, { readonly at: number; readonly reason: number }] {
  const [serial, at, extensions] = within(value, tags.sequence)
  if (at === undefined) throw new RangeError('an entry of the revocation list has no date')
  const reason = (extensions === undefined ? [] : within(extensions, tags.sequence))
    .map(one => within(one, tags.sequence))
    .find(([type]) => isOid(type, '2.5.29.21'))
  const code = reason && bodyOf(readDer(bodyOf(reason.at(-1), tags.octets))[0], enumerated)[0]
  return [serialHex(bodyOf(serial, tags.integer)), { at: readTime(at), reason: code ?? 0 }]
}

/** §5.2: a list with a critical extension that is not understood must not be used: an indirect or partial one would be taken for a whole one. */
function refuseUnknown(one: Value): void {
  const [type, critical] = within(one, tags.sequence)
  if (isOid(type, '2.5.29.28')) return refusePartial(one)
  const isKnown = ['2.5.29.20', '2.5.29.35'].some(known => isOid(type, known))
  if (critical?.tag === tags.boolean && critical.body[0] !== 0 && !isKnown)
    throw new RangeError('the revocation list has a critical extension that is not carried out (is it a delta or an indirect list?)')
}

/** §5.2.5: where the list is found says nothing of whom it is about; all else in it narrows that, but for the certificates of end entities, which are those that are asked about. */
function refusePartial(one: Value): void {
  const point = readDer(bodyOf(within(one, tags.sequence).at(-1), tags.octets))[0]
  for (const { tag, body } of within(point, tags.sequence))
    if (tag !== constructed(0) && tag !== 0x81 && !(body.length === 1 && body[0] === 0))
      throw new RangeError(
        'the revocation list is of some certificates or some reasons only, or of those of others, which is not carried out',
      )
}

function numberIn(extensions: readonly Value[]): bigint | undefined {
  const found = extensions.map(one => within(one, tags.sequence)).find(([type]) => isOid(type, '2.5.29.20'))
  if (found === undefined) return undefined
  return BigInt(`0x${hexOf(bodyOf(readDer(bodyOf(found.at(-1), tags.octets))[0], tags.integer)) || '0'}`)
}

/** RSA, ECDSA or Ed25519, as the list says; SHA-1 and older are not taken. */
function isSigned(signed: Uint8Array, algorithm: Value | undefined, signature: Uint8Array, key: KeyObject): boolean {
  const [type] = within(algorithm, tags.sequence)
  const found = Object.entries(hashes).find(([dotted]) => isOid(type, dotted))
  if (found === undefined) return false
  try {
    return checkSignature(found[1], signed, key, signature)
  } catch {
    return false
  }
}
const hashes: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
/** As Node writes serials: without the zero byte that keeps a number positive. */
const serialHex = (bytes: Uint8Array): string => hexOf(bytes).replace(/^(00)+(?=..)/, '')

const names = new WeakMap<
  X509Certificate,
  { readonly subject: Uint8Array; readonly issuer: string; readonly keyId: Uint8Array | undefined }
>()
function nameOf(certificate: X509Certificate): {
  readonly subject: Uint8Array
  readonly issuer: string
  readonly keyId: Uint8Array | undefined
} {
  const known = names.get(certificate)
  if (known !== undefined) return known
  const fields = within(within(readDer(certificate.raw)[0], tags.sequence)[0], tags.sequence)
  const from = fields[0]?.tag === constructed(0) ? 1 : 0
  const own = extensionOf(certificate, '2.5.29.14')
  const read = {
    issuer: hexOf(fields[from + 2]!.whole),
    subject: fields[from + 4]!.whole,
    keyId: own && bodyOf(own, tags.octets),
  }
  names.set(certificate, read)
  return read
}

/** Hex of the DER of the name of who signed it. */
export const issuerOf = (certificate: Certificate): string => nameOf(certificate).issuer
