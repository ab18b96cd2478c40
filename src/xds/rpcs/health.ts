/** Health discovery (HDS): the control plane tells a proxy which of its own ports to probe; the proxy tells how they are. */

import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Rpc } from '#base/rpc'
import { msOf } from '../decode/carried.ts'
import { duration } from '../encode/source.ts'
import {
  type HealthCheck,
  HealthCheck_CustomHealthCheckSchema,
  HealthCheck_GrpcHealthCheckSchema,
  HealthCheck_HttpHealthCheckSchema,
  HealthCheck_TcpHealthCheckSchema,
  HealthStatus,
} from '../gen/envoy/config/core/v3/health_check_pb.ts'
import {
  type EndpointHealth,
  HealthCheckRequestOrEndpointHealthResponseSchema,
  type HealthCheckSpecifier,
  HealthCheckSpecifierSchema,
} from '../gen/envoy/service/health/v3/hds_pb.ts'
import type { Node } from '../node.ts'

/** host: as the probe was asked for; `status` of a port that does not answer in time is `timeout`. */
export type ProbeResult = {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly status: 'healthy' | 'unhealthy' | 'timeout' | 'unknown'
}
/** The first message of a stream is `hello`; results follow, at least every `reportMs`. */
export type HealthReport =
  | { readonly type: 'hello'; readonly node: Node }
  | { readonly type: 'results'; readonly results: readonly ProbeResult[] }

/** expects of http: 200 to 399. command: one that the proxy has been given where it runs; the control plane cannot say which. failures: so many on end until it counts as unhealthy. */
export type Probe = {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly check:
    | { readonly type: 'tcp' | 'command' }
    | { readonly type: 'http'; readonly path: string }
    | { readonly type: 'grpc'; readonly service: string }
  readonly failures: number
  readonly timeoutMs: number
  readonly intervalMs: number
}
/** The whole list: what is not in it is not probed any more. */
export type HealthOrders = { readonly reportMs: number; readonly probes: readonly Probe[] }

const statusOf = {
  healthy: HealthStatus.HEALTHY,
  unhealthy: HealthStatus.UNHEALTHY,
  timeout: HealthStatus.TIMEOUT,
  unknown: HealthStatus.UNKNOWN,
} as const

const endpointOf = ({ host, port }: { readonly host: string; readonly port: number }) => ({
  address: {
    address: { case: 'socketAddress' as const, value: { address: host, portSpecifier: { case: 'portValue' as const, value: port } } },
  },
})

function encodeReport(report: HealthReport): Uint8Array {
  return toBinary(
    HealthCheckRequestOrEndpointHealthResponseSchema,
    create(HealthCheckRequestOrEndpointHealthResponseSchema, {
      requestType:
        report.type === 'hello'
          ? { case: 'healthCheckRequest', value: { node: report.node } }
          : {
              case: 'endpointHealthResponse',
              value: {
                clusterEndpointsHealth: report.results.map(result => ({
                  clusterName: result.name,
                  localityEndpointsHealth: [{ endpointsHealth: [{ endpoint: endpointOf(result), healthStatus: statusOf[result.status] }] }],
                })),
              },
            },
    }),
  )
}

function decodeReport(bytes: Uint8Array): HealthReport {
  const { requestType } = fromBinary(HealthCheckRequestOrEndpointHealthResponseSchema, bytes)
  if (requestType.case === 'healthCheckRequest' && requestType.value.node !== undefined)
    return { type: 'hello', node: requestType.value.node }
  if (requestType.case !== 'endpointHealthResponse') return { type: 'results', results: [] }
  const { clusterEndpointsHealth, endpointsHealth } = requestType.value
  return {
    type: 'results',
    results: [
      ...clusterEndpointsHealth.flatMap(cluster =>
        cluster.localityEndpointsHealth.flatMap(place => place.endpointsHealth.map(health => resultOf(cluster.clusterName, health))),
      ),
      ...(clusterEndpointsHealth.length > 0 ? [] : endpointsHealth.map(health => resultOf('', health))), // the older form
    ],
  }
}

function resultOf(name: string, { endpoint, healthStatus }: EndpointHealth): ProbeResult {
  const address = endpoint?.address?.address
  const at = address?.case === 'socketAddress' ? address.value : undefined
  const status = (Object.keys(statusOf) as (keyof typeof statusOf)[]).find(key => statusOf[key] === healthStatus) ?? 'unknown'
  return { name, host: at?.address ?? '', port: at?.portSpecifier.case === 'portValue' ? at.portSpecifier.value : 0, status }
}

const encodeOrders = ({ reportMs, probes }: HealthOrders): Uint8Array =>
  toBinary(
    HealthCheckSpecifierSchema,
    create(HealthCheckSpecifierSchema, {
      interval: duration(reportMs),
      clusterHealthChecks: probes.map(probe => ({
        clusterName: probe.name,
        localityEndpoints: [{ endpoints: [endpointOf(probe)] }],
        healthChecks: [
          {
            timeout: duration(probe.timeoutMs),
            interval: duration(probe.intervalMs),
            unhealthyThreshold: probe.failures,
            healthyThreshold: 1,
            healthChecker: checkerOf(probe.check),
          },
        ],
      })),
    }),
  )

/** The name of a custom check, which has no config. */
const ownCommand = 'dev.weft.command'

function checkerOf(check: Probe['check']): HealthCheck['healthChecker'] {
  switch (check.type) {
    case 'tcp':
      return { case: 'tcpHealthCheck', value: create(HealthCheck_TcpHealthCheckSchema) }
    case 'http':
      return {
        case: 'httpHealthCheck',
        value: create(HealthCheck_HttpHealthCheckSchema, {
          host: 'localhost',
          path: check.path,
          expectedStatuses: [{ start: 200n, end: 400n }],
        }),
      }
    case 'grpc':
      return { case: 'grpcHealthCheck', value: create(HealthCheck_GrpcHealthCheckSchema, { serviceName: check.service }) }
    case 'command':
      return { case: 'customHealthCheck', value: create(HealthCheck_CustomHealthCheckSchema, { name: ownCommand }) }
  }
}

/** A check of another kind is taken as tcp: the port must at least accept. */
function checkOf(checker: HealthCheck['healthChecker'] | undefined): Probe['check'] {
  if (checker?.case === 'httpHealthCheck') return { type: 'http', path: checker.value.path }
  if (checker?.case === 'grpcHealthCheck') return { type: 'grpc', service: checker.value.serviceName }
  return checker?.case === 'customHealthCheck' && checker.value.name === ownCommand ? { type: 'command' } : { type: 'tcp' }
}

const decodeOrders = (bytes: Uint8Array): HealthOrders => ordersOf(fromBinary(HealthCheckSpecifierSchema, bytes))

const ordersOf = ({ interval, clusterHealthChecks }: HealthCheckSpecifier): HealthOrders => ({
  reportMs: interval === undefined ? 1000 : msOf(interval),
  probes: clusterHealthChecks.flatMap(({ clusterName, healthChecks, localityEndpoints }) =>
    localityEndpoints.flatMap(({ endpoints }) =>
      endpoints.map((endpoint): Probe => {
        const [check] = healthChecks
        const { host, port } = resultOf(clusterName, { endpoint, healthStatus: HealthStatus.UNKNOWN } as EndpointHealth)
        return {
          name: clusterName,
          host,
          port,
          check: checkOf(check?.healthChecker),
          failures: check?.unhealthyThreshold ?? 1,
          timeoutMs: check?.timeout === undefined ? 1000 : msOf(check.timeout),
          intervalMs: check?.interval === undefined ? 1000 : msOf(check.interval),
        }
      }),
    ),
  ),
})

export const streamHealthCheck: Rpc<HealthReport, HealthOrders> = {
  path: '/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck',
  kind: 'stream',
  request: { encode: encodeReport, decode: decodeReport },
  reply: { encode: encodeOrders, decode: decodeOrders },
}
