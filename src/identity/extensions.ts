/** The extensions of a certificate (RFC 5280 §4.2), read from its DER: for what Node does not tell of them. */

import type { X509Certificate } from 'node:crypto'
import { bodyOf, constructed, isOid, readDer, tags, type Value, within } from './der.ts'

/** The value of one extension, without the octet string around it; undefined where the certificate has none of that kind. */
export function extensionOf(certificate: X509Certificate, dotted: string): Value | undefined {
  const [inside] = within(readDer(certificate.raw)[0], tags.sequence)
  const extensions = within(inside, tags.sequence).find(field => field.tag === constructed(3))
  if (extensions === undefined) return undefined
  const found = within(within(extensions, constructed(3))[0], tags.sequence)
    .map(one => within(one, tags.sequence))
    .find(([type]) => isOid(type, dotted))
  return found === undefined ? undefined : readDer(bodyOf(found.at(-1), tags.octets))[0]
}

/** Whether it may sign others, by its basic constraints or by its key usage: Node's `ca` asks for both. */
export function maySign(certificate: X509Certificate): boolean {
  const constraints = extensionOf(certificate, '2.5.29.19')
  if (constraints !== undefined && within(constraints, tags.sequence)[0]?.tag === tags.boolean) {
    if (bodyOf(within(constraints, tags.sequence)[0], tags.boolean)[0] !== 0) return true
  }
  const usage = extensionOf(certificate, '2.5.29.15')
  // keyCertSign and cRLSign, bits 5 and 6; the first byte tells how many bits at the end are unused.
  return usage !== undefined && ((bodyOf(usage, tags.bits)[1] ?? 0) & 0x06) !== 0
}
