/** Whom no proxy is to believe: a generic secret with JSON in it, for Envoy has no message that says it of a TLS handshake. */

import { create } from '@bufbuild/protobuf'
import type { Withdrawn } from '#model/view'
import { type Secret, SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { revokedSecret } from '../types.ts'

export const encodeRevoked = ({ revoked = [], crls = [] }: Withdrawn): Secret =>
  create(SecretSchema, {
    name: revokedSecret,
    type: {
      case: 'genericSecret',
      value: { secret: { specifier: { case: 'inlineString', value: JSON.stringify({ revoked, crls }) } } },
    },
  })
