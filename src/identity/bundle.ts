/** SPIFFE trust bundles (SPIFFE Trust Domain and Bundle, §4): the roots of a trust domain as a JSON Web Key Set, written and read. */

import { type Certificate, lifeOf, pemBlocks, readCertificate } from './certificate.ts'

/** roots: PEM. sequence: rises when it changes. refreshHintS: after how many seconds to ask again. jwtKeys: JSON Web Keys of JWT-SVIDs, as they are. */
export type Bundle = {
  readonly roots: readonly string[]
  readonly sequence?: number
  readonly refreshHintS?: number
  readonly jwtKeys?: readonly object[]
}

/** JSON, with the members in an order that does not change. */
export function writeBundle({ roots, sequence, refreshHintS, jwtKeys = [] }: Bundle): string {
  const keys = roots.map(pem => {
    const certificate = readCertificate(pem)
    // §4.1.2: x5c holds the one authority, the parameters its key.
    return { use: 'x509-svid', ...certificate.publicKey.export({ format: 'jwk' }), x5c: [certificate.raw.toString('base64')] }
  })
  return `${JSON.stringify(
    {
      ...(sequence === undefined ? {} : { spiffe_sequence: sequence }),
      ...(refreshHintS === undefined ? {} : { spiffe_refresh_hint: refreshHintS }),
      keys: [...keys, ...jwtKeys.map(key => ({ ...key, use: 'jwt-svid' }))],
    },
    undefined,
    2,
  )}\n`
}

/** text: such a set, or certificates in PEM. Throws RangeError with the end of a sentence: what is wrong with it. */
export function readBundle(text: string): Bundle {
  if (text.includes('-----BEGIN')) {
    const roots = pemBlocks(text, 'CERTIFICATE')
    if (roots.length === 0) throw new RangeError('it holds no certificate in PEM form')
    return { roots: roots.map(pem => authority(readCertificate(pem))) }
  }
  let said: { readonly keys?: unknown; readonly spiffe_sequence?: unknown; readonly spiffe_refresh_hint?: unknown } | null
  try {
    said = JSON.parse(text) as typeof said
  } catch {
    throw new RangeError('it is neither JSON nor PEM')
  }
  if (!Array.isArray(said?.keys)) throw new RangeError('it has no list "keys"')
  const keys = said.keys as readonly Readonly<Record<string, unknown>>[]
  // §4.2: keys of a use that is not known are left aside.
  const roots = keys.filter(key => key?.['use'] === 'x509-svid').map((key, at) => rootOf(key, at))
  const sequence = numberIn(said.spiffe_sequence, 'spiffe_sequence')
  const refreshHintS = numberIn(said.spiffe_refresh_hint, 'spiffe_refresh_hint')
  return {
    roots,
    ...(sequence === undefined ? {} : { sequence }),
    ...(refreshHintS === undefined ? {} : { refreshHintS }),
    jwtKeys: keys.filter(key => key?.['use'] === 'jwt-svid'),
  }
}

function rootOf({ x5c }: Readonly<Record<string, unknown>>, at: number): string {
  if (!Array.isArray(x5c) || x5c.length !== 1 || typeof x5c[0] !== 'string')
    throw new RangeError(`its x509-svid key ${at} has not one certificate in x5c`)
  try {
    return authority(readCertificate(Buffer.from(x5c[0], 'base64')))
  } catch (thrown) {
    throw new RangeError(`its x509-svid key ${at}: ${(thrown as Error).message}`)
  }
}

function authority(certificate: Certificate): string {
  if (!certificate.ca) throw new RangeError(`${nameOf(certificate) || 'a certificate in it'} is none that may sign others`)
  return certificate.toString()
}

function numberIn(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new RangeError(`its ${name} is no whole number`)
  return value
}

/** Node has none at all where the name is empty. */
const nameOf = (certificate: Certificate): string => (certificate.subject as string | undefined)?.replaceAll('\n', ', ') ?? ''

/** What people are told of a root. */
export function tellRoot(pem: string): { readonly subject: string; readonly sha256: string; readonly notAfter: string } {
  const certificate = readCertificate(pem)
  return {
    subject: nameOf(certificate),
    sha256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    notAfter: new Date(lifeOf(certificate).notAfter).toISOString(),
  }
}
