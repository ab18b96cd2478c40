/** The SPIFFE Workload API: how programs of a workload get its identity (spiffe/spiffe, SPIFFE_Workload_API.md). */

import { create, fromBinary, type JsonObject, toBinary } from '@bufbuild/protobuf'
import type { Rpc } from '#base/rpc'
import {
  JWTBundlesRequestSchema,
  JWTBundlesResponseSchema,
  JWTSVIDRequestSchema,
  JWTSVIDResponseSchema,
  ValidateJWTSVIDRequestSchema,
  ValidateJWTSVIDResponseSchema,
  X509BundlesRequestSchema,
  X509BundlesResponseSchema,
  X509SVIDRequestSchema,
  X509SVIDResponseSchema,
} from '../gen/spiffe/workload/workload_pb.ts'

type Nothing = Readonly<Record<string, never>>
/** chain: leaf first, without the root; each of these: certificates in DER, one after another. key: PKCS#8, DER. hint: tells several apart; '' for none. */
export type Svid = {
  readonly id: string
  readonly chain: Uint8Array
  readonly key: Uint8Array
  readonly bundle: Uint8Array
  readonly hint?: string
}
/** federated: as `BundlesReply`, of other trust domains. */
export type SvidReply = { readonly svids: readonly Svid[]; readonly federated?: Readonly<Record<string, Uint8Array>> }
/** By SPIFFE id of the trust domain. */
export type BundlesReply = { readonly bundles: Readonly<Record<string, Uint8Array>> }

export const fetchX509Svid: Rpc<Nothing, SvidReply> = {
  path: '/SpiffeWorkloadAPI/FetchX509SVID',
  kind: 'server-stream',
  request: { encode: () => toBinary(X509SVIDRequestSchema, create(X509SVIDRequestSchema)), decode: () => ({}) },
  reply: {
    encode: ({ svids, federated = {} }) =>
      toBinary(
        X509SVIDResponseSchema,
        create(X509SVIDResponseSchema, {
          federatedBundles: { ...federated },
          svids: svids.map(({ id, chain, key, bundle, hint = '' }) => ({ spiffeId: id, x509Svid: chain, x509SvidKey: key, bundle, hint })),
        }),
      ),
    decode: bytes => ({
      svids: fromBinary(X509SVIDResponseSchema, bytes).svids.map(({ spiffeId, x509Svid, x509SvidKey, bundle, hint }) => ({
        hint,
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

/** id: '' for all that the caller may be. */
export type JwtSvidRequest = { readonly audience: readonly string[]; readonly id: string }
export type JwtSvid = { readonly id: string; readonly token: string; readonly hint?: string }
export type JwtSvidReply = { readonly svids: readonly JwtSvid[] }

export const fetchJwtSvid: Rpc<JwtSvidRequest, JwtSvidReply> = {
  path: '/SpiffeWorkloadAPI/FetchJWTSVID',
  kind: 'unary',
  request: {
    encode: ({ audience, id }) => toBinary(JWTSVIDRequestSchema, create(JWTSVIDRequestSchema, { audience: [...audience], spiffeId: id })),
    decode: bytes => {
      const { audience, spiffeId } = fromBinary(JWTSVIDRequestSchema, bytes)
      return { audience, id: spiffeId }
    },
  },
  reply: {
    encode: ({ svids }) =>
      toBinary(
        JWTSVIDResponseSchema,
        create(JWTSVIDResponseSchema, { svids: svids.map(({ id, token, hint = '' }) => ({ spiffeId: id, svid: token, hint })) }),
      ),
    decode: bytes => ({
      svids: fromBinary(JWTSVIDResponseSchema, bytes).svids.map(({ spiffeId, svid, hint }) => ({ id: spiffeId, token: svid, hint })),
    }),
  },
}

/** Key sets (RFC 7517) in JSON. */
export const fetchJwtBundles: Rpc<Nothing, BundlesReply> = {
  path: '/SpiffeWorkloadAPI/FetchJWTBundles',
  kind: 'server-stream',
  request: { encode: () => toBinary(JWTBundlesRequestSchema, create(JWTBundlesRequestSchema)), decode: () => ({}) },
  reply: {
    encode: ({ bundles }) => toBinary(JWTBundlesResponseSchema, create(JWTBundlesResponseSchema, { bundles: { ...bundles } })),
    decode: bytes => ({ bundles: fromBinary(JWTBundlesResponseSchema, bytes).bundles }),
  },
}

export type JwtValidation = { readonly id: string; readonly claims: Readonly<Record<string, unknown>> }

export const validateJwtSvid: Rpc<{ readonly audience: string; readonly token: string }, JwtValidation> = {
  path: '/SpiffeWorkloadAPI/ValidateJWTSVID',
  kind: 'unary',
  request: {
    encode: ({ audience, token }) =>
      toBinary(ValidateJWTSVIDRequestSchema, create(ValidateJWTSVIDRequestSchema, { audience, svid: token })),
    decode: bytes => {
      const { audience, svid } = fromBinary(ValidateJWTSVIDRequestSchema, bytes)
      return { audience, token: svid }
    },
  },
  reply: {
    encode: ({ id, claims }) =>
      toBinary(ValidateJWTSVIDResponseSchema, create(ValidateJWTSVIDResponseSchema, { spiffeId: id, claims: claims as JsonObject })),
    decode: bytes => {
      const { spiffeId, claims = {} } = fromBinary(ValidateJWTSVIDResponseSchema, bytes)
      return { id: spiffeId, claims }
    },
  },
}
