/** The SPIFFE Workload API, its X.509 part: how programs of a workload get its identity (spiffe/spiffe, SPIFFE_Workload_API.md). */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Rpc } from '#base/rpc'
import {
  X509BundlesRequestSchema,
  X509BundlesResponseSchema,
  X509SVIDRequestSchema,
  X509SVIDResponseSchema,
} from '../gen/spiffe/workload/workload_pb.ts'

type Nothing = Readonly<Record<string, never>>
/** chain: leaf first, without the root; each of these: certificates in DER, one after another. key: PKCS#8, DER. */
export type Svid = { readonly id: string; readonly chain: Uint8Array; readonly key: Uint8Array; readonly bundle: Uint8Array }
export type SvidReply = { readonly svids: readonly Svid[] }
/** By SPIFFE id of the trust domain. */
export type BundlesReply = { readonly bundles: Readonly<Record<string, Uint8Array>> }

export const fetchX509Svid: Rpc<Nothing, SvidReply> = {
  path: '/SpiffeWorkloadAPI/FetchX509SVID',
  kind: 'server-stream',
  request: { encode: () => toBinary(X509SVIDRequestSchema, create(X509SVIDRequestSchema)), decode: () => ({}) },
  reply: {
    encode: ({ svids }) =>
      toBinary(
        X509SVIDResponseSchema,
        create(X509SVIDResponseSchema, {
          svids: svids.map(({ id, chain, key, bundle }) => ({ spiffeId: id, x509Svid: chain, x509SvidKey: key, bundle })),
        }),
      ),
    decode: bytes => ({
      svids: fromBinary(X509SVIDResponseSchema, bytes).svids.map(({ spiffeId, x509Svid, x509SvidKey, bundle }) => ({
        id: spiffeId,
        chain: x509Svid,
        key: x509SvidKey,
        bundle,
      })),
    }),
  },
}

export const fetchX509Bundles: Rpc<Nothing, BundlesReply> = {
  path: '/SpiffeWorkloadAPI/FetchX509Bundles',
  kind: 'server-stream',
  request: { encode: () => toBinary(X509BundlesRequestSchema, create(X509BundlesRequestSchema)), decode: () => ({}) },
  reply: {
    encode: ({ bundles }) => toBinary(X509BundlesResponseSchema, create(X509BundlesResponseSchema, { bundles: { ...bundles } })),
    decode: bytes => ({ bundles: fromBinary(X509BundlesResponseSchema, bytes).bundles }),
  },
}
