/** Whom no proxy is to believe, and how ids of whom it believes are read: a generic secret with JSON in it, for Envoy has no message that says it of a TLS handshake. */

import { create } from '@bufbuild/protobuf'
import type { Trust } from '#model/trust'
import { type Secret, SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { revokedSecret } from '../types.ts'

/** What is said of trust in this secret. */
type ToldBeside = Pick<Trust, 'revoked' | 'crls' | 'idTemplates'>

export const encodeRevoked = ({ revoked = [], crls = [], idTemplates }: ToldBeside): Secret =>
  create(SecretSchema, {
    name: revokedSecret,
    type: {
      case: 'genericSecret',
      value: {
        secret: {
          specifier: {
            case: 'inlineString',
            value: JSON.stringify({ revoked, crls, ...(idTemplates === undefined ? {} : { idTemplates }) }),
          },
        },
      },
    },
  })
