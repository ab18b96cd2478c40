/** Each field of the access log as the command operator by which Envoy writes it; what Envoy does not know it leaves out. */

import type { LogField } from '#base/log-fields'
import type { Direction } from '#model/listener'
import { weftMetadata } from '../types.ts'

/** Whose line it is: of requests or of connections, and on which side. */
export type LogPlace = { readonly direction: Direction; readonly of: 'requests' | 'connections' }

const label = (name: string): string => `%METADATA(LISTENER:${weftMetadata}:${name})%`
/** Nobody writes it: only proxies of Weft know it. */
const unknown = (name: string): string => `%DYNAMIC_METADATA(${weftMetadata}:${name})%`

/** A workload's own identity is in the certificate that it shows. */
export function operatorOf(field: LogField, { direction, of }: LogPlace): string {
  switch (field) {
    case 'time':
      return '%START_TIME%'
    case 'direction':
    case 'listener':
      return label(field)
    case 'destination':
      return label('service')
    case 'protocol':
      return '%PROTOCOL%'
    case 'method':
      return '%REQ(:METHOD)%'
    case 'host':
      return '%REQ(:AUTHORITY)%'
    // Without the query, which may hold secrets.
    case 'path':
      return '%PATH(NQ)%'
    case 'status':
      return '%RESPONSE_CODE%'
    case 'grpcStatus':
      return '%GRPC_STATUS_NUMBER%'
    case 'reason':
      return '%RESPONSE_FLAGS%'
    case 'detail':
      return of === 'requests' ? '%RESPONSE_CODE_DETAILS%' : '%CONNECTION_TERMINATION_DETAILS%'
    case 'policy':
      return '%DYNAMIC_METADATA(envoy.filters.http.rbac:enforced_effective_policy_id)%'
    case 'decision':
    case 'rule':
    case 'condition':
    case 'source':
      return unknown(field)
    case 'route':
      return '%ROUTE_NAME%'
    case 'sourceIdentity':
      return direction === 'outbound' ? '%UPSTREAM_LOCAL_URI_SAN%' : '%DOWNSTREAM_PEER_URI_SAN%'
    case 'destinationIdentity':
      return direction === 'inbound' ? '%DOWNSTREAM_LOCAL_URI_SAN%' : '%UPSTREAM_PEER_URI_SAN%'
    case 'sourceAddress':
      return '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%'
    case 'backend':
      return '%UPSTREAM_CLUSTER_RAW%'
    case 'endpoint':
      return '%UPSTREAM_REMOTE_ADDRESS%'
    case 'workload':
      return `%METADATA(UPSTREAM_HOST:${weftMetadata}:workload)%`
    case 'bytesReceived':
      return '%BYTES_RECEIVED%'
    case 'bytesSent':
      return '%BYTES_SENT%'
    case 'duration':
      return '%DURATION%'
    case 'firstByte':
      return '%RESPONSE_DURATION%'
    case 'attempts':
      return '%UPSTREAM_REQUEST_ATTEMPT_COUNT%'
    case 'tlsVersion':
      return '%DOWNSTREAM_TLS_VERSION%'
    case 'tlsGroup':
      return '%DOWNSTREAM_TLS_GROUP%'
    case 'requestId':
      return '%REQ(X-REQUEST-ID)%'
    case 'traceId':
      return '%TRACE_ID%'
    case 'userAgent':
      return '%REQ(USER-AGENT)%'
  }
}
