/** Which versions, key exchanges and ciphers TLS may agree on, as a profile that has a name; the same for both kinds of data plane. */

export const tlsProfiles = ['modern', 'compatible', 'fips', 'pqc'] as const
/**
 * modern: what is best today, and nothing older. compatible: old callers and servers too, without what is broken. fips: as NIST SP 800-52r2 lists it.
 * pqc: a key exchange that a quantum computer does not break, or none.
 */
export type TlsProfile = (typeof tlsProfiles)[number]

/**
 * groups: best first, in the words of TLS (RFC 8446 §4.2.7, draft-ietf-tls-ecdhe-mlkem). ciphers: of TLS 1.2, in the words of OpenSSL and BoringSSL. suites: of TLS 1.3;
 * absent: all three.
 */
export type TlsTerms = {
  readonly least: '1.2' | '1.3'
  readonly groups: readonly string[]
  readonly ciphers: readonly string[]
  readonly suites?: readonly string[]
}

const aesGcm = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
] as const

export const termsOf: Readonly<Record<TlsProfile, TlsTerms>> = {
  modern: { least: '1.3', groups: ['X25519MLKEM768', 'X25519', 'P-256'], ciphers: [] },
  compatible: {
    least: '1.2',
    groups: ['X25519MLKEM768', 'X25519', 'P-256', 'P-384'],
    ciphers: [...aesGcm, 'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
  },
  fips: {
    least: '1.2',
    groups: ['P-256', 'P-384'],
    ciphers: aesGcm,
    suites: ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384'],
  },
  pqc: { least: '1.3', groups: ['X25519MLKEM768'], ciphers: [] },
}

/** Between proxies of the mesh TLS 1.3 is spoken, whatever the profile. */
const inMesh = ({ suites, groups }: TlsTerms): TlsTerms => ({
  least: '1.3',
  groups,
  ciphers: [],
  ...(suites === undefined ? {} : { suites }),
})
export const meshTermsOf: Readonly<Record<TlsProfile, TlsTerms>> = {
  modern: inMesh(termsOf.modern),
  compatible: inMesh(termsOf.compatible),
  fips: inMesh(termsOf.fips),
  pqc: inMesh(termsOf.pqc),
}
