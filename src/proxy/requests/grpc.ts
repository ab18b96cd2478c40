/** What a gRPC call asks of those who carry it (gRPC over HTTP/2, github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). */

import { field } from '#wire/http1'
import { errorCodes } from '#wire/http2'
import type { Exchange } from './exchange.ts'

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 }

/** Milliseconds that the caller gives the call as a whole; undefined where it sets no bound, or none that is one. */
export function timeoutOf(exchange: Exchange): number | undefined {
  const said = field(exchange.head.fields, 'grpc-timeout')
  if (said === undefined) return undefined
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(said) ?? []
  return digits === undefined ? undefined : Number(digits) * unitMs[unit!]!
}

const ofHttp: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 }
const toHttp = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401] as const

/** What a client makes of an answer without a status of gRPC (gRPC, "HTTP to gRPC Status Code Mapping"). */
export const grpcOf = (status: number): number => ofHttp[status] ?? 2

/** The status of HTTP with the meaning of one of gRPC (google.rpc.Code). */
export const httpOf = (grpcStatus: number): number => toHttp[grpcStatus] ?? 500

/** The status that clients take a reset stream for ("HTTP2 Transport Mapping", Errors): the proxy counts and tells the same. */
export function statusOfReset(code: number): number {
  switch (code) {
    case errorCodes.refusedStream:
      return 14 // UNAVAILABLE
    case errorCodes.cancel:
      return 1 // CANCELLED
    case errorCodes.enhanceYourCalm:
      return 8 // RESOURCE_EXHAUSTED
    case errorCodes.inadequateSecurity:
      return 7 // PERMISSION_DENIED
    default:
      return 13 // INTERNAL
  }
}
