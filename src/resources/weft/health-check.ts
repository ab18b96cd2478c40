/** Active health checks: the part of a BackendPolicy that has callers ask the endpoints whether they serve. */

import { z } from 'zod'
import { durationMs } from '../duration.ts'
import { atomicList, duration, headerName, headerValue, hostname, intOrString, isLonger, rules } from '../fields.ts'
import type { Broken } from '../kind.ts'

const span = (field: string, leastMs: number) =>
  duration().check(
    rules<string>(function* (text) {
      const ms = durationMs(text)
      if (ms < leastMs) yield { path: [], says: `is too short for ${field}: at least ${leastMs}ms` }
      if (ms > 86_400_000) yield { path: [], says: `is too long for ${field}: at most 24h` }
    }),
  )

/** `200` or `200-399`. */
const statuses = /^([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?$/
export function statusRange(said: number | string): { readonly first: number; readonly last: number } | undefined {
  const [, first, last = first] = statuses.exec(String(said)) ?? []
  return first === undefined || Number(last) < Number(first) ? undefined : { first: Number(first), last: Number(last) }
}

const http = z.strictObject({
  path: z
    .string()
    .max(1024)
    .regex(/^\/[!-~]*$/, { message: 'must be a path such as "/healthz", in visible ASCII' })
    .describe('What is asked for.'),
  host: hostname().optional().describe('The host that is asked for. Absent: the Service, as NAME.NAMESPACE.'),
  method: z.enum(['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT']).default('GET').describe('The method; none has a body.'),
  headers: atomicList(z.strictObject({ name: headerName().describe('Its name.'), value: headerValue().describe('Its value.') }))
    .max(16)
    .default([])
    .describe('Header fields to send besides.'),
  statuses: atomicList(intOrString())
    .min(1)
    .max(16)
    .check(
      rules<readonly (number | string)[]>(function* (list) {
        for (const [at, each] of list.entries())
          if (statusRange(each) === undefined)
            yield { path: [at], says: 'must be a status such as 200, or a range of them such as 200-399' }
      }),
    )
    .default(['200-299'])
    .describe('What a healthy endpoint answers: statuses such as 204, or ranges such as 200-399.'),
})

const grpc = z.strictObject({
  service: z.string().max(1024).default('').describe('The service that is asked for (grpc.health.v1); "": the server as a whole.'),
})

/** Exactly one of the two. */
const bytes = (what: string) =>
  z
    .strictObject({
      text: z.string().min(1).max(1024).optional().describe('As text, in UTF-8.'),
      hex: z
        .string()
        .max(2048)
        .regex(/^([0-9a-fA-F]{2})+$/, { message: 'must be bytes in hexadecimal, two digits each' })
        .optional()
        .describe('As bytes in hexadecimal.'),
    })
    .check(
      rules<{ text?: string | undefined; hex?: string | undefined }>(function* ({ text, hex }) {
        if ((text === undefined) === (hex === undefined)) yield { path: [], says: 'needs exactly one of text and hex' }
      }),
    )
    .describe(what)

const tcp = z.strictObject({
  send: bytes('What is sent once the connection stands.').optional(),
  expect: atomicList(bytes('Bytes that must come.'))
    .max(8)
    .default([])
    .describe('What must come back, in this order; other bytes may come between. Empty: it is enough that the connection stands.'),
})

type Said = { http?: unknown; grpc?: unknown; tcp?: unknown; timeout: string; interval: string }
function* fits({ http, grpc, tcp, timeout, interval }: Said): Iterable<Broken> {
  if ([http, grpc, tcp].filter(each => each !== undefined).length !== 1)
    yield { path: [], says: 'needs exactly one of http, grpc and tcp: what is asked?' }
  if (isLonger(timeout, interval)) yield { path: ['timeout'], says: `must not be longer than interval (${interval})` }
}

export const healthCheck = z
  .strictObject({
    http: http.optional().describe('Asks by an HTTP request. For ports of HTTP, and of TCP where that is spoken.'),
    grpc: grpc.optional().describe('Asks by a call of grpc.health.v1.Health/Check. For ports of gRPC and HTTP/2.'),
    tcp: tcp.optional().describe('Asks by a connection. For all ports of TCP.'),
    interval: span('an interval', 100).default('10s').describe('From the end of one question to the next.'),
    timeout: span('a timeout', 10).default('1s').describe('How long an answer may take; later is none.'),
    unhealthyThreshold: z.int().min(1).max(100).default(3).describe('After so many failures on end the endpoint is left out.'),
    healthyThreshold: z.int().min(1).max(100).default(2).describe('After so many successes on end it comes back.'),
    jitter: z
      .int()
      .min(0)
      .max(100)
      .default(10)
      .describe('Percent of the interval that are added to it at most, by chance, so that callers do not ask all at once.'),
    whileIdle: z
      .boolean()
      .default(false)
      .describe('Whether a caller asks also while it sends no request to the Service. Otherwise it stops one minute after its last.'),
  })
  .check(rules(fits))
