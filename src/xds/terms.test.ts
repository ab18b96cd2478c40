import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import { meshTermsOf, termsOf, tlsProfiles } from '#model/tls'
import { profileOf } from './decode/terms.ts'
import { encodeTerms } from './encode/terms.ts'
import {
  type TlsParameters,
  TlsParameters_TlsProtocol as Version,
  TlsParametersSchema,
} from './gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'

test('each profile is what it was after its way over the wire, in the mesh and elsewhere', () => {
  for (const profile of tlsProfiles) assert.equal(profileOf(encodeTerms(termsOf[profile]), 'here', false), profile)
  for (const profile of ['modern', 'fips', 'pqc'] as const)
    assert.equal(profileOf(encodeTerms(meshTermsOf[profile]), 'here', true), profile)
})

test('parameters that say versions only mean what they meant before there were profiles', () => {
  const of = (least: Version, most: Version = Version.TLS_AUTO): TlsParameters =>
    create(TlsParametersSchema, { tlsMinimumProtocolVersion: least, tlsMaximumProtocolVersion: most })
  assert.equal(profileOf(undefined, 'here', false), 'compatible')
  assert.equal(profileOf(undefined, 'here', true), 'modern')
  assert.equal(profileOf(of(Version.TLSv1_2, Version.TLSv1_3), 'here', false), 'compatible')
  assert.equal(profileOf(of(Version.TLSv1_3), 'here', false), 'modern')
  assert.throws(() => profileOf(of(Version.TLSv1_0), 'here', false), { reason: /TLS 1\.3 alone, or TLS 1\.2 and 1\.3/ })
  assert.throws(() => profileOf(of(Version.TLSv1_2, Version.TLSv1_2), 'here', true), { reason: /only TLS 1\.3/ })
})

test('ciphers, curves and signatures that are no profile are refused by name', () => {
  const params = encodeTerms(termsOf.compatible)
  for (const other of [
    { ...params, ecdhCurves: ['P-521'] },
    { ...params, cipherSuites: ['AES128-SHA'] },
    { ...params, signatureAlgorithms: ['rsa_pkcs1_sha1'] },
  ])
    assert.throws(() => profileOf(other, 'tls_params', false), {
      reason: /tls_params: .* none of the profiles modern, compatible, fips, pqc/,
    })
})
