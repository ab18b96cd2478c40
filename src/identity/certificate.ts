/** Reads certificates, so that other rooms need no parser of their own. */

import { X509Certificate } from 'node:crypto'
import { backdateMs } from './issue.ts'
import type { Life } from './rotation.ts'

export type Certificate = X509Certificate

/** PEM (the first in it) or DER. Throws RangeError. */
export function readCertificate(source: string | Uint8Array): Certificate {
  try {
    return new X509Certificate(source)
  } catch {
    throw new RangeError('this is not a certificate in PEM or DER form')
  }
}

/** Each block of PEM text by itself, in order. label: such as CERTIFICATE. */
export function pemBlocks(text: string, label: string): readonly string[] {
  return [...text.matchAll(new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`, 'g'))].map(([block]) => `${block}\n`)
}

/** All blocks of PEM text, whatever they hold, in DER one after another. */
export const derOf = (pem: string): Uint8Array =>
  Buffer.concat([...pem.matchAll(/-----BEGIN [A-Z0-9 ]+-----([^-]+)-----END/g)].map(([, base64 = '']) => Buffer.from(base64, 'base64')))

/** Certificates in DER, one after another, each in PEM: what the SPIFFE Workload API sends. Throws RangeError. */
export function pemsOf(der: Uint8Array): readonly string[] {
  const found: string[] = []
  for (let at = 0; at < der.length; ) {
    const first = der[at + 1] ?? 0
    const count = first & 0x80 ? first & 0x7f : 0
    const length = count === 0 ? first : der.subarray(at + 2, at + 2 + count).reduce((sum, byte) => sum * 256 + byte, 0)
    const end = at + 2 + count + length
    found.push(readCertificate(der.subarray(at, end)).toString())
    at = end
  }
  return found
}

/** When it was issued (its beginning is set earlier, for the sake of clocks that differ) and when it ends. Rotation counts from there. */
export function lifeOf(certificate: Certificate): Life {
  const begin = certificate.validFromDate.getTime()
  const notAfter = certificate.validToDate.getTime()
  return { notBefore: begin + Math.min(backdateMs, (notAfter - begin) * 0.9), notAfter }
}

export const serialOf = (certificate: Certificate): string => certificate.serialNumber.toLowerCase()
