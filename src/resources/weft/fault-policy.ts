/** FaultPolicy: requests that are broken on purpose, to see what their callers make of it. */

import { z } from 'zod'
import { durationMs } from '../duration.ts'
import { age, duration, isLonger, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { clients } from './clients.ts'
import { onePart, type Part, partOf, policyStatus, policyTargets, targetsColumn } from './route-targets.ts'

const abort = z
  .strictObject({
    httpStatus: z.int().min(400).max(599).optional().describe('Status of HTTP. A gRPC call gets the status that clients make of it.'),
    grpcStatus: z.int().min(1).max(16).optional().describe('Status of gRPC. Plain HTTP gets the status of the same meaning.'),
    reset: z.literal(true).optional().describe('No answer: the connection, in HTTP/2 the stream, is broken off.'),
    drop: z.literal(true).optional().describe('Of UDP: each datagram that a client sends is lost, by its own chance.'),
    ...partOf,
  })
  .check(
    rules<{ httpStatus?: number | undefined; grpcStatus?: number | undefined; reset?: true | undefined; drop?: true | undefined } & Part>(
      function* ({ httpStatus, grpcStatus, reset, drop }) {
        const given = [httpStatus, grpcStatus, reset, drop].filter(each => each !== undefined).length
        if (given !== 1) yield { path: [], says: 'give exactly one of httpStatus, grpcStatus, reset and drop' }
      },
      onePart,
    ),
  )

const delay = z
  .strictObject({
    fixed: duration().describe(
      'How long the request is held up before it goes on. It counts for the timeouts of its route, as if the service were slow.',
    ),
    jitter: duration().optional().describe('By chance so much more or less; how is said by distribution.'),
    distribution: z
      .enum(['Uniform', 'Normal', 'Exponential', 'Pareto'])
      .optional()
      .describe(
        'How the jitter is spread. Uniform, which is meant where nothing is said: evenly, up to jitter more or less. Normal: jitter is the standard deviation. Exponential and Pareto: fixed is the least, and jitter is added to it on average; Pareto has the longer tail: one in a hundred waits seven times jitter more, one in ten thousand forty times.',
      ),
    ...partOf,
  })
  .check(
    rules<{ fixed: string; jitter?: string | undefined; distribution?: string | undefined } & Part>(function* ({
      fixed,
      jitter,
      distribution,
    }) {
      if (durationMs(fixed) === 0) yield { path: ['fixed'], says: 'must be longer than 0' }
      if (isLonger(fixed, '1h')) yield { path: ['fixed'], says: 'must not be longer than 1h' }
      if (distribution !== undefined && jitter === undefined) yield { path: ['jitter'], says: `is needed for distribution ${distribution}` }
      if ((distribution ?? 'Uniform') === 'Uniform' && isLonger(jitter, fixed))
        yield { path: ['jitter'], says: `must not be longer than fixed (${fixed})` }
    }, onePart),
  )

const rate = () => z.int().min(1).max(1_000_000_000).optional()
const bandwidth = z
  .strictObject({
    requests: rate().describe('Bytes per second of the body of each request, of TCP what each client sends.'),
    responses: rate().describe('Bytes per second of the body of each answer, of TCP what each client is sent.'),
    ...partOf,
  })
  .check(
    rules<{ requests?: number | undefined; responses?: number | undefined } & Part>(function* ({ requests, responses }) {
      if (requests === undefined && responses === undefined) yield { path: [], says: 'give requests, responses or both' }
    }, onePart),
  )

const spec = z
  .strictObject({
    targetRefs: policyTargets('Mesh', 'Namespace', 'Service', 'ExternalService', 'HTTPRoute', 'GRPCRoute', 'TCPRoute', 'UDPRoute'),
    from: clients(),
    delay: delay.optional().describe('Requests are held up.'),
    abort: abort.optional().describe('Requests are answered by the proxy of the caller in place of the service.'),
    bandwidth: bandwidth.optional().describe('Bodies pass no faster than this, each for itself, as on a slow line.'),
    expires: z
      .string()
      .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/, {
        message: 'must be a time such as 2026-01-31T12:00:00Z (RFC 3339)',
      })
      .meta({ format: 'date-time' })
      .optional()
      .describe('When it ends by itself, also where a proxy does not hear of the control plane any more. Absent: when it is deleted.'),
  })
  .check(
    rules(function* ({ delay: late, abort: broken, bandwidth: slow, expires }) {
      if (late === undefined && broken === undefined && slow === undefined) yield { path: [], says: 'give delay, abort or bandwidth' }
      if (expires !== undefined && Number.isNaN(Date.parse(expires))) yield { path: ['expires'], says: 'is no time that exists' }
    }),
  )
export type FaultPolicySpec = z.infer<typeof spec>
export type FaultPolicy = Resource<FaultPolicySpec>

const what = ({ delay: late, abort: broken, bandwidth: slow }: Partial<FaultPolicySpec> = {}): string =>
  [
    ...(late === undefined ? [] : [`delay ${late.fixed}`]),
    ...(slow === undefined ? [] : ['bandwidth']),
    ...(broken === undefined
      ? []
      : [broken.reset === true ? 'reset' : broken.drop === true ? 'drop' : `abort ${broken.httpStatus ?? `gRPC ${broken.grpcStatus}`}`]),
  ].join(', ')

export const faultPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'FaultPolicy',
  plural: 'faultpolicies',
  singular: 'faultpolicy',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A FaultPolicy breaks requests on purpose: holds them up, slows their bodies down, answers them with an error or breaks them off, for some of the requests and some of the clients, until a time. What it answers carries the code fault-injected and the name of the policy. Connections of TCP can be held up, slowed down and reset, datagrams held up and lost.',
  schema: z.strictObject({ spec: spec.describe('For what it holds and what is done.'), status: policyStatus() }),
  columns: [
    targetsColumn,
    { name: 'Fault', type: 'string', description: 'What is done', value: r => what((r as FaultPolicy).spec) },
    { name: 'Expires', type: 'string', description: 'When it ends by itself', value: r => (r as FaultPolicy).spec?.expires },
    age,
  ],
}
