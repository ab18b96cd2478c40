/** RoutePolicy: how requests are sent on, whatever route they take: how long they may take, and when they are tried again. */

import { z } from 'zod'
import { age, duration, isLonger, rules, saying, setList } from '../fields.ts'
import { durationMs } from '../duration.ts'
import type { Kind, Resource } from '../kind.ts'
import { compression, limits, maintenance } from './bodies.ts'
import { clients } from './clients.ts'
import { policyStatus, policyTargets, targetsColumn } from './route-targets.ts'

const timeouts = z
  .strictObject({
    request: duration().optional().describe('How long the whole request may take, all tries included; 0s: without limit.'),
    try: duration().optional().describe('How long one try may take; 0s: without limit.'),
    idle: duration()
      .optional()
      .describe(
        'How long nothing may pass: of a request and its answer; on a connection that is not looked into; in a session of datagrams. 0s: without limit, but for datagrams. Absent: without limit; an hour; a minute.',
      ),
  })
  .check(
    rules(function* ({ request, try: one }) {
      if (request !== undefined && !/^0+(h|m|s|ms)$/.test(request) && isLonger(one, request))
        yield { path: ['try'], says: `must not be longer than request (${request})` }
    }),
  )

const retry = z
  .strictObject({
    attempts: z
      .int()
      .min(0)
      .max(100)
      .optional()
      .describe('How many further tries at most; 0: none, whatever is said for more, but for what the mesh always tries again. Absent: 1.'),
    codes: setList(z.int().min(400).max(599))
      .optional()
      .describe(
        'Status codes after which another try is made, as in the retry of an HTTPRoute. Of gRPC calls 429, 499, 500, 503 and 504 mean RESOURCE_EXHAUSTED, CANCELLED, INTERNAL, UNAVAILABLE and DEADLINE_EXCEEDED.',
      ),
    on: setList(z.enum(['ServerError', 'GatewayError', 'Conflict', 'Reset']))
      .optional()
      .describe(
        'Further conditions. ServerError: any 5xx. GatewayError: 502, 503, 504. Conflict: 409. Reset: the answer broke off or took too long. What never reached an endpoint is always tried again.',
      ),
    grpc: setList(z.enum(['Cancelled', 'DeadlineExceeded', 'Internal', 'ResourceExhausted', 'Unavailable']))
      .optional()
      .describe('Statuses of gRPC after which another try is made, where the call failed without a message.'),
    backoff: z
      .strictObject({
        base: duration().default('25ms').describe('The least pause.'),
        max: duration().optional().describe('The longest; absent: ten times base.'),
      })
      .check(
        rules(function* ({ base, max }) {
          if (isLonger(base, max)) yield { path: ['max'], says: `must not be shorter than base (${base})` }
        }),
      )
      .optional()
      .describe('The pause before a further try, by chance between these, growing with each.'),
    longestRetryAfter: duration()
      .optional()
      .describe(
        'A pause that an answer asks for by Retry-After is kept up to so long, else there is no further try; 0s: it is not looked at. Absent: 10s.',
      ),
  })
  .check(
    rules(function* ({ attempts, codes = [], on = [], grpc = [] }) {
      if (attempts !== 0 && codes.length + on.length + grpc.length === 0)
        yield { path: [], says: 'give codes, on or grpc: when is a request tried again?' }
    }),
  )
export type RetrySpec = z.infer<typeof retry>

const hedge = z.strictObject({
  after: duration()
    .check(
      rules<string>(function* (text) {
        if (durationMs(text) < 1) yield { path: [], says: 'must be above 0' }
      }),
    )
    .describe('How long nothing has come before another try is sent. A high percentile of how long answers take is a good start.'),
  attempts: z.int().min(1).max(10).default(1).describe('How many further tries at most, each so long after the one before.'),
  allMethods: z
    .boolean()
    .default(false)
    .describe(
      'Whether what may not be repeated by its method is sent twice too: POST, and with it every gRPC call. Say so only where the service bears it.',
    ),
})

/** For what and for whom it is, not what it says. */
const isAt = new Set(['targetRefs', 'from'])

const spec = z
  .strictObject({
    targetRefs: policyTargets('Mesh', 'Namespace', 'Service', 'ExternalService', 'HTTPRoute', 'GRPCRoute', 'TCPRoute', 'UDPRoute'),
    from: clients(),
    timeouts: timeouts.optional().describe('How long a request may take; each of these is a field for itself.'),
    retry: retry
      .optional()
      .describe(
        'When a request is tried again, at another endpoint if there is one. A BackendPolicy bounds how many such tries there are (retryConstraint).',
      ),
    hedge: hedge
      .optional()
      .describe(
        'When a second try is sent beside the first that has not answered yet, to another endpoint; the first answer is taken, the other try is reset. These tries too count against retryConstraint. Absent: never.',
      ),
    compression: compression.optional().describe('How bodies are compressed and decompressed; each of these is a field for itself.'),
    limits: limits.optional().describe('How large a request may be; each of these is a field for itself.'),
    maintenance: maintenance
      .optional()
      .describe('All requests are answered this, by the proxy of the caller or the Gateway, and none goes to the service.'),
  })
  .check(saying('timeouts', 'compression', 'limits'))
export type RoutePolicySpec = z.infer<typeof spec>
export type RoutePolicy = Resource<RoutePolicySpec>

export const routePolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'RoutePolicy',
  plural: 'routepolicies',
  singular: 'routepolicy',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A RoutePolicy says how requests are sent on: how long they may take, when they are tried again, when a second try is sent beside the first, how large they may be, how bodies are compressed, and what is answered during maintenance; for the whole mesh, a namespace, a Service, a port, a route or one rule of it, and for all clients or some. The narrower wins, field by field; what a rule of a route says itself is narrower than any policy but one that names the rule and the client.',
  schema: z.strictObject({ spec: spec.describe('For what it holds and the settings.'), status: policyStatus() }),
  columns: [
    targetsColumn,
    {
      name: 'Sets',
      type: 'string',
      description: 'What it says something of',
      value: r =>
        Object.keys((r as RoutePolicy).spec ?? {})
          .filter(key => !isAt.has(key))
          .join(','),
    },
    age,
  ],
}
