/** The HealthCheck of a Cluster → how its endpoints are asked. */

import type { Backend } from '#model/backend'
import type { HealthCheck, HealthMethod, HealthQuestion } from '#model/endpoint-health'
import { methods, neverMs } from '../encode/health-check.ts'
import { RequestMethod } from '../gen/envoy/config/core/v3/base_pb.ts'
import type { Cluster } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import {
  type HealthCheck_GrpcHealthCheck,
  HealthCheck_GrpcHealthCheckSchema,
  type HealthCheck_HttpHealthCheck,
  HealthCheck_HttpHealthCheckSchema,
  type HealthCheck_Payload,
  type HealthCheck_TcpHealthCheck,
  HealthCheck_TcpHealthCheckSchema,
  HealthCheckSchema,
} from '../gen/envoy/config/core/v3/health_check_pb.ts'
import type { Int64Range } from '../gen/envoy/type/v3/range_pb.ts'
import { CodecClientType } from '../gen/envoy/type/v3/http_pb.ts'
import { carries, msOf, refuse } from './carried.ts'

const checkCheck = carries(HealthCheckSchema, [
  'interval',
  'timeout',
  'interval_jitter_percent',
  'unhealthy_threshold',
  'healthy_threshold',
  'no_traffic_interval',
  'reuse_connection',
  'tls_options',
  'http_health_check',
  'grpc_health_check',
  'tcp_health_check',
])
const checkHttp = carries(HealthCheck_HttpHealthCheckSchema, [
  'host',
  'path',
  'method',
  'request_headers_to_add',
  'expected_statuses',
  'retriable_statuses',
  'codec_client_type',
])
const checkGrpc = carries(HealthCheck_GrpcHealthCheckSchema, ['service_name', 'authority'])
const checkTcp = carries(HealthCheck_TcpHealthCheckSchema, ['send', 'receive'])

/** Envoy's own default. */
const usualIdleMs = 60_000

type Asked = Pick<Backend, 'protocol' | 'service'>

export function healthCheckOf(message: Cluster, backend: Asked): Pick<Backend, 'healthCheck'> {
  const [said, ...others] = message.healthChecks
  if (said === undefined) return {}
  if (others.length > 0) refuse('health_checks', 'only one is carried out')
  const where = 'health_checks[0]'
  checkCheck(said, where)
  const [interval, timeout] = [said.interval, said.timeout]
  if (interval === undefined || timeout === undefined) refuse(where, 'interval and timeout are needed')
  const idleMs = said.noTrafficInterval === undefined ? usualIdleMs : msOf(said.noTrafficInterval)
  const checker = said.healthChecker
  let ask: HealthQuestion
  if (checker.case === 'httpHealthCheck') ask = requestOf(checker.value, `${where}.http_health_check`, backend)
  else if (checker.case === 'grpcHealthCheck') ask = callOf(checker.value, `${where}.grpc_health_check`, backend)
  else if (checker.case === 'tcpHealthCheck') ask = connectionOf(checker.value, `${where}.tcp_health_check`)
  else refuse(where, 'one of http_health_check, grpc_health_check and tcp_health_check is needed')
  const healthCheck: HealthCheck = {
    ask,
    intervalMs: msOf(interval),
    timeoutMs: msOf(timeout),
    unhealthyAfter: said.unhealthyThreshold ?? 1,
    healthyAfter: said.healthyThreshold ?? 1,
    jitterPercent: said.intervalJitterPercent,
    ...(idleMs >= neverMs ? {} : { idleMs }),
  }
  return { healthCheck }
}

function requestOf(message: HealthCheck_HttpHealthCheck, where: string, { protocol, service }: Asked): HealthQuestion {
  checkHttp(message, where)
  const wanted = protocol === 'http2' ? CodecClientType.HTTP2 : CodecClientType.HTTP1
  if (message.codecClientType !== wanted)
    refuse(`${where}.codec_client_type`, `a backend of ${protocol} is asked in HTTP/${protocol === 'http2' ? 2 : 1}`)
  const method = (Object.keys(methods) as HealthMethod[]).find(
    each => methods[each] === (message.method === RequestMethod.METHOD_UNSPECIFIED ? RequestMethod.GET : message.method),
  )
  if (method === undefined) refuse(`${where}.method`, `only ${Object.keys(methods).join(', ')} are carried out`)
  if (!message.path.startsWith('/')) refuse(`${where}.path`, 'must begin with "/"')
  const { host } = message
  return {
    type: 'http',
    method,
    path: message.path,
    ...(host === '' || host === service ? {} : { host }),
    headers: message.requestHeadersToAdd.map(({ header }, at) => {
      if (header === undefined || header.key === '') refuse(`${where}.request_headers_to_add[${at}]`, 'a name is missing')
      return { name: header.key.toLowerCase(), value: header.value }
    }),
    // What Envoy takes where nothing is said is 200 alone.
    statuses: message.expectedStatuses.length === 0 ? [{ first: 200, last: 200 }] : message.expectedStatuses.map(rangeOf),
  }
}

/** The end of Envoy's range does not belong to it. */
const rangeOf = ({ start, end }: Int64Range): { readonly first: number; readonly last: number } => ({
  first: Number(start),
  last: Number(end) - 1,
})

function callOf(message: HealthCheck_GrpcHealthCheck, where: string, { service }: Asked): HealthQuestion {
  checkGrpc(message, where)
  const { authority, serviceName } = message
  if (authority !== '' && authority !== service) refuse(`${where}.authority`, `only that of the backend is carried out, ${service}`)
  return { type: 'grpc', service: serviceName }
}

function connectionOf(message: HealthCheck_TcpHealthCheck, where: string): HealthQuestion {
  checkTcp(message, where)
  return {
    type: 'tcp',
    ...(message.send === undefined ? {} : { send: hexOf(message.send, `${where}.send`) }),
    expect: message.receive.map((each, at) => hexOf(each, `${where}.receive[${at}]`)),
  }
}

function hexOf({ payload }: HealthCheck_Payload, where: string): string {
  if (payload.case === 'binary') return payload.value.toHex()
  const hex = payload.value ?? ''
  if (!/^([0-9a-f]{2})*$/i.test(hex)) refuse(where, 'must be bytes in hexadecimal')
  return hex.toLowerCase()
}
