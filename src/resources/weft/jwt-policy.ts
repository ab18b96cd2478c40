/** JWTPolicy: which signed tokens requests must bring, kept by the called workload's proxy or by a Gateway. */

import { z } from 'zod'
import { durationMs } from '../duration.ts'
import { age, atomicList, duration, headerName, objectName, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { enforcedColumn, enforcement } from './enforcement.ts'
import { claimsToHeaders } from './claims-to-headers.ts'
import { policyStatus, policyTargets, targetsColumn } from './route-targets.ts'

/** Signatures only: with a shared secret whoever can check a token can make one. */
export const tokenAlgorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const

const jwks = z
  .strictObject({
    inline: z.string().min(1).max(65_536).optional().describe('A JSON Web Key Set (RFC 7517) as text. Public keys only.'),
    url: z
      .string()
      .max(2048)
      .regex(/^https?:\/\/[^\s/?#@]+(\/[^\s#]*)?$/, { message: 'must be a URL of http or https, without a user and without #' })
      .optional()
      .describe(
        'Where each proxy gets the key set. By http whoever is in between can change it: use https but for what is on the same machine.',
      ),
    configMap: z
      .strictObject({
        name: objectName().describe("Name of a ConfigMap in the policy's namespace."),
        key: z.string().min(1).max(253).default('jwks.json').describe('The entry that holds the key set.'),
      })
      .optional()
      .describe('A ConfigMap that holds the key set.'),
    refresh: duration().default('5m').describe('With url: how old the keys may become before they are asked for again.'),
    timeout: duration().default('5s').describe('With url: how long an answer is waited for.'),
  })
  .check(
    rules(function* ({ inline, url, configMap, refresh, timeout }) {
      const said = [inline, url, configMap].filter(each => each !== undefined).length
      if (said !== 1) yield { path: [], says: 'exactly one of inline, url and configMap is needed' }
      if (durationMs(refresh) < 1000) yield { path: ['refresh'], says: 'must be at least 1s' }
      if (durationMs(timeout) < 1 || durationMs(timeout) > 60_000) yield { path: ['timeout'], says: 'must be between 1ms and 60s' }
      if (inline !== undefined && !isKeySet(inline)) yield { path: ['inline'], says: 'is no key set: {"keys": [...]} of JSON is needed' }
    }),
  )

function isKeySet(text: string): boolean {
  try {
    return Array.isArray((JSON.parse(text) as { keys?: unknown } | null)?.keys)
  } catch {
    return false
  }
}

const place = z
  .strictObject({
    header: headerName().optional().describe('A header that holds the token.'),
    prefix: z
      .string()
      .max(64)
      .optional()
      .describe('What stands before the token in the header, such as "Bearer "; without it there is no token in the header.'),
    query: z
      .string()
      .min(1)
      .max(256)
      .optional()
      .describe('A query parameter. It is seen in logs of whoever is in between: prefer a header.'),
    cookie: z
      .string()
      .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/, { message: 'must be a name of a cookie' })
      .optional()
      .describe('A cookie.'),
  })
  .check(
    rules(function* ({ header, prefix, query, cookie }) {
      if ([header, query, cookie].filter(each => each !== undefined).length !== 1)
        yield { path: [], says: 'exactly one of header, query and cookie is needed' }
      if (prefix !== undefined && header === undefined) yield { path: ['prefix'], says: 'goes with header only: remove it' }
    }),
  )

const provider = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, { message: 'must be letters in lower case, digits and "-"' })
      .describe('For logs and people.'),
    issuer: z.string().min(1).max(2048).describe('What the claim iss must be, to the letter.'),
    audiences: atomicList(z.string().min(1).max(2048))
      .min(1)
      .max(32)
      .optional()
      .describe('One of these must be among the claim aud. Absent: tokens for others are taken too, which only few issuers make safe.'),
    jwks: jwks.describe('By which keys its tokens are signed.'),
    algorithms: atomicList(z.enum(tokenAlgorithms))
      .min(1)
      .max(10)
      .default(['RS256', 'ES256', 'PS256', 'EdDSA'])
      .describe(
        'By which algorithms they may be signed; each only with a key of its kind. There is no "none", and none with a shared secret.',
      ),
    from: atomicList(place)
      .min(1)
      .max(8)
      .default([{ header: 'Authorization', prefix: 'Bearer ' }])
      .describe('Where the token is looked for. One in two places is refused.'),
    forward: z.boolean().default(false).describe('Whether the workload gets the token; else it is taken out of the request.'),
    claimsToHeaders: claimsToHeaders().optional(),
    clockSkew: duration().default('60s').describe('By how much clocks may differ, for exp, nbf and iat.'),
  })
  .check(
    rules(function* ({ clockSkew }) {
      if (durationMs(clockSkew) > 300_000) yield { path: ['clockSkew'], says: 'must be 5m at most' }
      if (durationMs(clockSkew) % 1000 !== 0) yield { path: ['clockSkew'], says: 'must be whole seconds' }
    }),
  )
export type TokenProvider = z.infer<typeof provider>

const spec = z
  .strictObject({
    targetRefs: policyTargets('Mesh', 'Namespace', 'Workload', 'Service', 'Gateway', 'HTTPRoute', 'GRPCRoute'),
    providers: atomicList(provider).min(1).max(16).describe('Whose tokens are taken: that of any of these.'),
    require: z
      .enum(['Always', 'IfPresent'])
      .default('Always')
      .describe(
        'Always: a request without a token is answered 401. IfPresent: it goes on, without claims; a token that is there must be good.',
      ),
    whenExpired: z
      .enum(['End', 'Continue'])
      .default('End')
      .describe(
        'What becomes of a request that is under way when its token ends, clockSkew included: a stream, a WebSocket, a long answer. End: it is broken off with the reason token-expired. Continue: it goes on to its end. Envoy always continues.',
      ),
  })
  .check(
    rules(function* ({ providers }) {
      for (const field of ['name', 'issuer'] as const)
        for (const [at, each] of providers.entries())
          if (providers.findIndex(other => other[field] === each[field]) < at)
            yield { path: ['providers', at, field], says: 'stands in an earlier provider: what is said of one issuer goes into one' }
    }),
  )
export type JWTPolicySpec = z.infer<typeof spec>
export type JWTPolicy = Resource<JWTPolicySpec>

export const jwtPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'JWTPolicy',
  plural: 'jwtpolicies',
  singular: 'jwtpolicy',
  shortNames: ['jwt'],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A JWTPolicy says which signed tokens (JWT, RFC 7519) requests must bring. The proxy of the called workload verifies them, for a Gateway and its routes that Gateway; what fails is answered 401 or UNAUTHENTICATED. AccessPolicies may then name claims. The narrowest policy holds as a whole.',
  schema: z.strictObject({
    spec: spec.describe('For what it holds, and whose tokens are taken.'),
    status: policyStatus({ enforcement: enforcement() }),
  }),
  columns: [
    targetsColumn,
    {
      name: 'Issuers',
      type: 'string',
      description: 'Whose tokens are taken',
      value: r => ((r as JWTPolicy).spec?.providers ?? []).map(({ issuer }) => issuer).join(','),
    },
    { name: 'Require', type: 'string', description: 'Whether there must be one', value: r => (r as JWTPolicy).spec?.require },
    enforcedColumn,
    age,
  ],
}
