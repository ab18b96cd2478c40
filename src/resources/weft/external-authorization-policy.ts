/** ExternalAuthorizationPolicy: which service is asked whether requests and connections may go on, by the called workload's proxy or by a Gateway. */

import { z } from 'zod'
import { durationMs } from '../duration.ts'
import type { Broken, Kind, Resource } from '../kind.ts'
import { age, atomicList, duration, headerName, rules } from '../fields.ts'
import { backendObject } from '../gateway-api/references.ts'
import { plainOperation } from './access-policy.ts'
import { enforcedColumn, enforcement } from './enforcement.ts'
import { policyStatus, policyTargets, targetsColumn } from './route-targets.ts'

const names = () => atomicList(headerName()).max(64)

/** What frames messages and tells who called is not the service's. */
const untouchable =
  /^(host|connection|keep-alive|proxy-.*|transfer-encoding|te|trailer|upgrade|content-length|expect|x-forwarded-client-cert|x-weft-.*)$/i

const http = z
  .strictObject({
    path: z
      .string()
      .max(1024)
      .regex(/^\/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})*$/, { message: 'must be a path that begins with /' })
      .optional()
      .describe('What stands before the path of the request when the service is asked.'),
    allowedHeaders: names()
      .optional()
      .describe('Headers of the request that it is shown, besides Host, Content-Length and Authorization, which it always is.'),
    allowedResponseHeaders: names()
      .optional()
      .describe('Headers of its answer that the workload gets in place of those of the request; absent: none.'),
    callerHeaders: names()
      .optional()
      .describe('Headers of an answer that lets the request on, which the caller gets with the answer of the workload; absent: none.'),
  })
  .check(
    rules(function* (said) {
      for (const field of ['allowedResponseHeaders', 'callerHeaders'] as const)
        for (const [at, name] of (said[field] ?? []).entries())
          if (untouchable.test(name)) yield { path: [field, at], says: `${name} is written by proxies only: remove it` }
    }),
  )

const forwardBody = z.strictObject({
  maxSize: z.int32().min(1).max(1_048_576).describe('Bytes of the body that it is shown at most. The request waits until they are there.'),
  tooLarge: z
    .enum(['Refuse', 'Cut'])
    .default('Refuse')
    .describe(
      'What becomes of a longer body. Refuse: 413. Cut: the service is shown its beginning; it decides about what it has not seen.',
    ),
})

const provider = z
  .strictObject({
    protocol: z
      .enum(['GRPC', 'HTTP'])
      .describe(
        "GRPC: Envoy's ext_authz (envoy.service.auth.v3.Authorization/Check). HTTP: the service gets the method and path of the request; 200 lets it on, another status below 500 is the answer that the caller gets.",
      ),
    backendRef: backendObject.describe('The service: a Service, or an ExternalService of weft.dev. It is called through the mesh.'),
    timeout: duration().default('1s').describe('How long an answer is waited for.'),
    failOpen: z
      .boolean()
      .default(false)
      .describe('Whether what it is asked about goes on where it gives no answer; else that is 503 external-authorization-unavailable.'),
    grpc: z
      .strictObject({
        allowedHeaders: names().min(1).optional().describe('Headers of the request that it is shown; absent: all.'),
      })
      .optional()
      .describe('Settings of protocol GRPC.'),
    http: http.optional().describe('Settings of protocol HTTP.'),
    forwardBody: forwardBody.optional().describe('Whether it is shown the body; absent: no.'),
  })
  .check(
    rules(function* ({ protocol, timeout, grpc, http }) {
      if (protocol === 'GRPC' && http !== undefined) yield { path: ['http'], says: 'does not go with protocol GRPC: remove it' }
      if (protocol === 'HTTP' && grpc !== undefined) yield { path: ['grpc'], says: 'does not go with protocol HTTP: remove it' }
      if (durationMs(timeout) < 1 || durationMs(timeout) > 60_000) yield { path: ['timeout'], says: 'must be between 1ms and 60s' }
    }),
  )

const when = plainOperation.omit({ ports: true, notPorts: true }).check(
  rules(function* (one: object): Iterable<Broken> {
    if (Object.keys(one).length === 0) yield { path: [], says: 'must say something: an empty entry would mean everything' }
  }),
)

const spec = z.strictObject({
  targetRefs: policyTargets('Mesh', 'Namespace', 'Workload', 'Service', 'Gateway', 'HTTPRoute', 'GRPCRoute'),
  provider: provider.describe('Who is asked.'),
  when: atomicList(when)
    .min(1)
    .max(64)
    .optional()
    .describe(
      'About which requests: one of these; of one all that it says. Absent: about all. A path that can be read in two ways is asked about in either. Of connections whose bytes are opaque all are asked about.',
    ),
})
export type ExternalAuthorizationPolicySpec = z.infer<typeof spec>
export type ExternalAuthorizationPolicy = Resource<ExternalAuthorizationPolicySpec>

export const externalAuthorizationPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'ExternalAuthorizationPolicy',
  plural: 'externalauthorizationpolicies',
  singular: 'externalauthorizationpolicy',
  shortNames: ['extauth'],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'An ExternalAuthorizationPolicy names a service that is asked whether requests may go on, such as Open Policy Agent. The proxy of the called workload asks, for a Gateway and its routes that Gateway; AccessPolicies and JWTPolicies come first, so that it is asked only about what they let on. The narrowest policy holds as a whole.',
  schema: z.strictObject({
    spec: spec.describe('For what it holds, and who is asked.'),
    status: policyStatus({ enforcement: enforcement() }),
  }),
  columns: [
    targetsColumn,
    {
      name: 'Provider',
      type: 'string',
      description: 'Who is asked',
      value: r => {
        const { protocol, backendRef } = (r as ExternalAuthorizationPolicy).spec?.provider ?? {}
        return backendRef === undefined ? undefined : `${protocol} ${backendRef.kind}/${backendRef.name}:${backendRef.port}`
      },
    },
    {
      name: 'FailOpen',
      type: 'string',
      description: 'Whether what it is asked about goes on without an answer',
      value: r => String((r as ExternalAuthorizationPolicy).spec?.provider.failOpen ?? false),
    },
    enforcedColumn,
    age,
  ],
}
