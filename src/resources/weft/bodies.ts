/** What a RoutePolicy says of bodies: how large they may be, how they are compressed, and what is answered while nobody is to be served. */

import { z } from 'zod'
import { duration, headerValue, rules, setList } from '../fields.ts'

const megabytes = 1024 * 1024

const compressible = {
  minBytes: z
    .int()
    .min(1)
    .max(megabytes)
    .default(512)
    .describe('Bodies of fewer bytes stay as they are; those of which nobody tells the length are compressed.'),
  contentTypes: setList(
    z.string().regex(/^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/, {
      message: 'must be a type in lower case without parameters, such as application/json',
    }),
  )
    .min(1)
    .max(64)
    .optional()
    .describe('Types of bodies that are compressed; absent: text, JSON, XML, scripts, SVG and streams of events.'),
}
const algorithm = () => z.enum(['gzip', 'br', 'zstd'])

export const compression = z
  .strictObject({
    responses: z
      .strictObject({
        algorithms: setList(algorithm())
          .min(1)
          .max(3)
          .default(['zstd', 'br', 'gzip'])
          .describe('Which there are, the best first: of what a caller likes equally (Accept-Encoding) the first is taken.'),
        ...compressible,
      })
      .optional()
      .describe(
        'Answers: in the mesh by the proxy that is called, and by Gateways. What is coded already, a part, or said not to be transformed stays as it is.',
      ),
    requests: z
      .strictObject({
        algorithm: algorithm().default('gzip').describe('In which coding: the backend must be able to read it.'),
        ...compressible,
      })
      .optional()
      .describe('Requests, on their way from the proxy of the caller, or from a Gateway, to the backend.'),
    decompress: z
      .strictObject({
        maxBytes: z
          .int()
          .min(1)
          .max(1024 * megabytes)
          .default(10 * megabytes)
          .describe('How many bytes the body of a request may come to; more is answered 413, however small it was before.'),
      })
      .optional()
      .describe(
        'Requests that come in gzip, br or zstd: they are taken apart by the proxy that is called, for programs that cannot read them.',
      ),
  })
  .check(
    rules(function* (asked) {
      if (Object.keys(asked).length === 0) yield { path: [], says: 'give responses, requests or decompress' }
    }),
  )

export const limits = z
  .strictObject({
    requestBody: z
      .int()
      .min(1)
      .optional()
      .describe(
        'Bytes of a body at most; more is answered 413, to gRPC RESOURCE_EXHAUSTED. A length that is announced counts before anything is sent on.',
      ),
    requestHeaders: z.int().min(1).max(1000).optional().describe('How many fields the header of a request may have; more is answered 431.'),
    requestHeaderBytes: z
      .int()
      .min(1)
      .max(megabytes)
      .optional()
      .describe('How many bytes names and values of a header may have together; more is answered 431.'),
  })
  .check(
    rules(function* (asked) {
      if (Object.keys(asked).length === 0) yield { path: [], says: 'give requestBody, requestHeaders or requestHeaderBytes' }
    }),
  )

export const maintenance = z
  .strictObject({
    status: z.int().min(400).max(599).default(503).describe('Status of the answer; a gRPC call gets the status that clients make of it.'),
    body: z.string().max(65_536).default('This service is under maintenance.\n').describe('Body of the answer.'),
    contentType: headerValue().default('text/plain; charset=utf-8').describe('Type of the body.'),
    retryAfter: duration().optional().describe('When callers should come again (Retry-After); absent, with until: at that time.'),
    until: z
      .string()
      .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/, {
        message: 'must be a time such as 2026-01-31T12:00:00Z (RFC 3339)',
      })
      .meta({ format: 'date-time' })
      .optional()
      .describe('When it ends by itself. A proxy that cannot reach the control plane then goes on with it until it can.'),
  })
  .check(
    rules(function* ({ until }) {
      if (until !== undefined && Number.isNaN(Date.parse(until))) yield { path: ['until'], says: 'is no time that exists' }
    }),
  )
