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

/** When it was issued (its beginning is set earlier, for the sake of clocks that differ) and when it ends. Rotation counts from there. */
export function lifeOf(certificate: Certificate): Life {
  const begin = certificate.validFromDate.getTime()
  const notAfter = certificate.validToDate.getTime()
  return { notBefore: begin + Math.min(backdateMs, (notAfter - begin) * 0.9), notAfter }
}

export const serialOf = (certificate: Certificate): string => certificate.serialNumber.toLowerCase()
