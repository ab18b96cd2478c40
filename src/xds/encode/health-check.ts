/** How callers ask a backend's endpoints → the HealthCheck of its Cluster. */

import { create, type MessageInitShape } from '@bufbuild/protobuf'
import type { Backend } from '#model/backend'
import type { HealthCheck, HealthMethod } from '#model/endpoint-health'
import { RequestMethod } from '../gen/envoy/config/core/v3/base_pb.ts'
import {
  type HealthCheck as Check,
  HealthCheck_GrpcHealthCheckSchema,
  HealthCheck_HttpHealthCheckSchema,
  type HealthCheck_PayloadSchema,
  HealthCheck_TcpHealthCheckSchema,
  HealthCheckSchema,
} from '../gen/envoy/config/core/v3/health_check_pb.ts'
import { CodecClientType } from '../gen/envoy/type/v3/http_pb.ts'
import { duration } from './source.ts'

/** Envoy asks idle endpoints too, each minute if nothing is said, and has no word for never: so long is meant by it. */
export const neverMs = 365 * 86_400_000

export const methods = {
  GET: RequestMethod.GET,
  HEAD: RequestMethod.HEAD,
  OPTIONS: RequestMethod.OPTIONS,
  POST: RequestMethod.POST,
  PUT: RequestMethod.PUT,
} as const satisfies Record<HealthMethod, RequestMethod>

type Asked = Pick<Backend, 'healthCheck' | 'protocol' | 'service'>

export function encodeHealthCheck({ healthCheck: said, protocol, service }: Asked): { readonly healthChecks?: Check[] } {
  if (said === undefined) return {}
  const { intervalMs, timeoutMs, unhealthyAfter, healthyAfter, jitterPercent, idleMs } = said
  const isHttp2 = said.ask.type === 'grpc' || (said.ask.type === 'http' && protocol === 'http2')
  return {
    healthChecks: [
      create(HealthCheckSchema, {
        interval: duration(intervalMs),
        timeout: duration(timeoutMs),
        unhealthyThreshold: unhealthyAfter,
        healthyThreshold: healthyAfter,
        ...(jitterPercent === 0 ? {} : { intervalJitterPercent: jitterPercent }),
        noTrafficInterval: duration(idleMs ?? neverMs),
        // Of the mesh's own TLS, which the endpoints are asked through: what the question itself is spoken in.
        ...(said.ask.type === 'tcp' || protocol === 'tcp' ? {} : { tlsOptions: { alpnProtocols: [isHttp2 ? 'h2' : 'http/1.1'] } }),
        healthChecker: checkerOf(said.ask, isHttp2, service),
      }),
    ],
  }
}

function checkerOf(ask: HealthCheck['ask'], isHttp2: boolean, service: string): Check['healthChecker'] {
  switch (ask.type) {
    case 'http':
      return {
        case: 'httpHealthCheck',
        value: create(HealthCheck_HttpHealthCheckSchema, {
          host: ask.host ?? service,
          path: ask.path,
          method: methods[ask.method],
          requestHeadersToAdd: ask.headers.map(({ name, value }) => ({ header: { key: name, value } })),
          expectedStatuses: ask.statuses.map(({ first, last }) => ({ start: BigInt(first), end: BigInt(last + 1) })),
          // Else one answer of another status would count as all that are needed.
          retriableStatuses: [{ start: 100n, end: 600n }],
          ...(isHttp2 ? { codecClientType: CodecClientType.HTTP2 } : {}),
        }),
      }
    case 'grpc':
      return { case: 'grpcHealthCheck', value: create(HealthCheck_GrpcHealthCheckSchema, { serviceName: ask.service, authority: service }) }
    case 'tcp':
      return {
        case: 'tcpHealthCheck',
        value: create(HealthCheck_TcpHealthCheckSchema, {
          ...(ask.send === undefined ? {} : { send: payload(ask.send) }),
          receive: ask.expect.map(payload),
        }),
      }
  }
}

const payload = (hex: string): MessageInitShape<typeof HealthCheck_PayloadSchema> => ({ payload: { case: 'text', value: hex } })
