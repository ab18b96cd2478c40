/** What TLS may agree on → Envoy's TlsParameters. */

import { create } from '@bufbuild/protobuf'
import type { TlsTerms } from '#model/tls'
import {
  type TlsParameters,
  TlsParameters_TlsProtocol as Version,
  TlsParametersSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'

/**
 * `compliance_policies: [FIPS_202205]`, which is all that keeps Envoy from ChaCha20 under TLS 1.3. The field (number 6, packed enums) is younger than the
 * messages that the installed package brings, so it stands among the unknown ones.
 */
const compliance = { no: 6, wireType: 2, data: Uint8Array.of(1, 0) } as const

export function encodeTerms({ least, groups, ciphers, suites }: TlsTerms): TlsParameters {
  const message = create(TlsParametersSchema, {
    tlsMinimumProtocolVersion: least === '1.3' ? Version.TLSv1_3 : Version.TLSv1_2,
    tlsMaximumProtocolVersion: Version.TLSv1_3,
    cipherSuites: [...ciphers],
    ecdhCurves: [...groups],
  })
  if (suites !== undefined) message.$unknown = [compliance]
  return message
}
