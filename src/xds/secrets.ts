/** What the agent beside an Envoy serves by secret discovery: the workload's own certificate with its key, which never leave the machine, and whom to trust as the control plane. */

import { create } from '@bufbuild/protobuf'
import { encoded } from './encode.ts'
import { encodeTrust } from './encode/tls.ts'
import { SecretSchema } from './gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import type { Snapshot } from './server.ts'
import { ownSecret, rootSecret, typeUrls } from './types.ts'

/** PEM; cert: leaf first. */
export type OwnSecrets = {
  readonly key: string
  readonly cert: string
  readonly roots: readonly string[]
  readonly trustDomain: string
}

/** For AdsServer. */
export function secretsOf({ key, cert, roots, trustDomain }: OwnSecrets, revision: number): Snapshot {
  const own = create(SecretSchema, {
    name: ownSecret,
    type: {
      case: 'tlsCertificate',
      value: {
        certificateChain: { specifier: { case: 'inlineString', value: cert } },
        privateKey: { specifier: { case: 'inlineString', value: key } },
      },
    },
  })
  const none = new Map<string, never>()
  return {
    revision,
    resources: {
      [typeUrls.listener]: none,
      [typeUrls.route]: none,
      [typeUrls.cluster]: none,
      [typeUrls.endpoints]: none,
      [typeUrls.secret]: new Map([
        [ownSecret, encoded(typeUrls.secret, ownSecret, SecretSchema, own)],
        [rootSecret, encoded(typeUrls.secret, rootSecret, SecretSchema, encodeTrust({ domain: trustDomain, roots }))],
      ]),
    },
  }
}
