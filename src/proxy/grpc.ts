/** What a gRPC call is, and what it asks of those who carry it (gRPC over HTTP/2, github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). */

import type { Exchange } from './exchange.ts'

export const isGrpc = (exchange: Exchange): boolean => /^application\/grpc(?:$|[+;])/.test(exchange.header('content-type') ?? '')

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 }

/** Milliseconds that the caller gives the call as a whole; undefined where it sets no bound, or none that is one. */
export function timeoutOf(exchange: Exchange): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(exchange.header('grpc-timeout') ?? '') ?? []
  return digits === undefined ? undefined : Number(digits) * unitMs[unit!]!
}
