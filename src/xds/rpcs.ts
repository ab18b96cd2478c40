/** The remote procedures that proxies call on the control plane, as descriptions that io/grpc carries. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Rpc } from '#base/rpc'
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from './gen/istio/v1/auth/ca_pb.ts'

/** csr: PEM. validitySeconds: 0 leaves it to the authority. */
export type CertificateRequest = { readonly csr: string; readonly validitySeconds: number }
/** PEM, leaf first, root last. */
export type CertificateReply = { readonly chain: readonly string[] }

/** Istio's certificate service, which its agents and ztunnel call too. */
export const createCertificate: Rpc<CertificateRequest, CertificateReply> = {
  path: '/istio.v1.auth.IstioCertificateService/CreateCertificate',
  kind: 'unary',
  request: {
    encode: ({ csr, validitySeconds }) =>
      toBinary(IstioCertificateRequestSchema, create(IstioCertificateRequestSchema, { csr, validityDuration: BigInt(validitySeconds) })),
    decode: bytes => {
      const { csr, validityDuration } = fromBinary(IstioCertificateRequestSchema, bytes)
      return { csr, validitySeconds: Number(validityDuration) }
    },
  },
  reply: {
    encode: ({ chain }) => toBinary(IstioCertificateResponseSchema, create(IstioCertificateResponseSchema, { certChain: [...chain] })),
    decode: bytes => ({ chain: fromBinary(IstioCertificateResponseSchema, bytes).certChain }),
  },
}

export { checkAuthorization, type CheckField, type CheckPeer, type CheckQuestion, type CheckReply } from './rpcs/authorization.ts'
export { hasUnit, type LimitDescriptor, type LimitQuestion, type LimitReply, type LimitStatus, shouldRateLimit } from './rpcs/rate-limit.ts'
export { callDelta, serveDelta, serveSecrets, serveState } from './rpcs/discovery.ts'
export { type HealthOrders, type HealthReport, type Probe, type ProbeResult, streamHealthCheck } from './rpcs/health.ts'
export {
  type BundlesReply,
  fetchJwtBundles,
  fetchJwtSvid,
  fetchX509Bundles,
  fetchX509Svid,
  type JwtSvid,
  type JwtSvidReply,
  type JwtSvidRequest,
  type JwtValidation,
  type Svid,
  type SvidReply,
  validateJwtSvid,
} from './rpcs/workload.ts'
export { type MetricsMessage, type MetricsReply, streamMetrics } from './rpcs/metrics.ts'
