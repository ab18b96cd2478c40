/** Envoy's TlsParameters → the profile that they are; what is none is refused. */

import { toBinary } from '@bufbuild/protobuf'
import { meshTermsOf, termsOf, type TlsProfile, tlsProfiles } from '#model/tls'
import {
  type TlsParameters,
  TlsParameters_TlsProtocol as Version,
  TlsParametersSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { encodeTerms } from '../encode/terms.ts'
import { refuse } from './carried.ts'

const known = (terms: typeof termsOf): ReadonlyMap<string, TlsProfile> =>
  new Map(tlsProfiles.map(profile => [toBinary(TlsParametersSchema, encodeTerms(terms[profile])).join(), profile]))
const inMesh = known(meshTermsOf)
const elsewhere = known(termsOf)

/** isMesh: mutual TLS of the mesh, for which TLS 1.3 is spoken whatever is said; else nothing but versions means modern from 1.3 on, and compatible. */
export function profileOf(params: TlsParameters | undefined, where: string, isMesh: boolean): TlsProfile {
  const { tlsMinimumProtocolVersion: least = Version.TLS_AUTO, tlsMaximumProtocolVersion: most = Version.TLS_AUTO } = params ?? {}
  const isPlain =
    params === undefined ||
    (params.cipherSuites.length === 0 &&
      params.ecdhCurves.length === 0 &&
      params.signatureAlgorithms.length === 0 &&
      !params.$unknown?.length)
  if (isPlain) {
    if (isMesh && most !== Version.TLSv1_3 && most !== Version.TLS_AUTO) refuse(where, 'only TLS 1.3 is carried out')
    if (least === Version.TLSv1_3 || isMesh) return 'modern'
    if ((least !== Version.TLSv1_2 && least !== Version.TLS_AUTO) || (most !== Version.TLSv1_3 && most !== Version.TLS_AUTO))
      refuse(where, 'TLS 1.3 alone, or TLS 1.2 and 1.3, are carried out')
    return 'compatible'
  }
  const found = (isMesh ? inMesh : elsewhere).get(toBinary(TlsParametersSchema, params).join())
  return (
    found ??
    refuse(
      where,
      `these versions, cipher_suites and ecdh_curves together are none of the profiles ${tlsProfiles.join(', ')}, which are carried out`,
    )
  )
}
