/** Mesh: settings that hold for everything, unless something narrower says otherwise. */

import { z } from 'zod'
import { age, atomicList, conditionColumn, conditions, dnsLabel, duration, mapList, objectName, portNumber, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { identity } from './access-policy.ts'
import { plainBalance } from './balance.ts'
import { connectTimeout } from './resilience.ts'

const spec = z.strictObject({
  trustDomain: z
    .string()
    .regex(/^[a-z0-9._-]{1,255}$/, { message: 'must be a SPIFFE trust domain: lower-case letters, digits, ".", "-" and "_"' })
    .optional()
    .describe('Trust domain of all identities. Fixed when the control plane first starts; shown here, not changed here.'),
  mtls: z
    .strictObject({
      mode: z
        .enum(['strict', 'permissive'])
        .default('permissive')
        .describe(
          'strict: workloads take mutual TLS only. permissive: plaintext too, while callers are being brought into the mesh; a server that speaks first then waits half a second for a caller in plaintext.',
        ),
      profile: z
        .enum(['modern', 'fips', 'pqc'])
        .optional()
        .describe(
          'What proxies agree on with each other, TLS 1.3 always: modern (X25519MLKEM768, else X25519 or P-256), fips (AES-GCM with P-256 or P-384, as NIST SP 800-52r2 lists it), pqc (X25519MLKEM768 or nothing). Absent: modern. Between fips and pqc go by modern: they have nothing in common.',
        ),
    })
    .default({ mode: 'permissive' })
    .describe('Mutual TLS between workloads.'),
  access: z
    .strictObject({
      default: z.enum(['Allow', 'Deny']).default('Allow').describe('What holds for workloads without an AccessPolicy that allows.'),
      namespaces: mapList(
        z.strictObject({
          name: dnsLabel().describe('Name of the namespace of the called workloads.'),
          default: z.enum(['Allow', 'Deny']).describe('What holds there in place of the default of the mesh.'),
        }),
        'name',
      )
        .max(256)
        .check(
          rules(function* (list: readonly { readonly name: string }[]) {
            for (const [at, { name }] of list.entries())
              if (list.findIndex(other => other.name === name) < at)
                yield { path: [at, 'name'], says: `"${name}" stands in an earlier entry: remove one` }
          }),
        )
        .optional()
        .describe('Namespaces with a default of their own.'),
      tellWhy: atomicList(identity())
        .min(1)
        .max(64)
        .optional()
        .describe(
          'Callers that are told in the answer which policy and which of its conditions denied their request: SPIFFE ids or patterns, as the identities of an AccessPolicy. Absent: nobody, a caller learns the number of the decision only. The proxies of Weft tell it, Envoy does not.',
        ),
    })
    .optional()
    .describe('Who may call where no AccessPolicy says it; absent: everybody.'),
  rateLimits: z
    .strictObject({
      service: z
        .strictObject({
          namespace: objectName().default('default').describe('Its namespace.'),
          name: objectName().describe('Name of the Service.'),
          port: portNumber().describe('Its port, which speaks gRPC.'),
        })
        .optional()
        .describe("A Service that speaks Envoy's rate limit service protocol, in place of the one in the control plane."),
      address: z
        .string()
        .regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):\d{1,5}$/, { message: 'must be IP:PORT; for a name make an ExternalService' })
        .optional()
        .describe('The same outside the mesh, in plaintext: IP:PORT.'),
      domain: z.string().min(1).max(253).default('weft').describe('What it is told as the domain.'),
      timeout: duration().default('200ms').describe('How long an answer is waited for.'),
    })
    .check(
      rules(function* ({ service, address }) {
        if (service !== undefined && address !== undefined) yield { path: ['address'], says: 'give service or address, not both' }
      }),
    )
    .optional()
    .describe('Who counts for RateLimitPolicies with a global limit; absent: the control plane.'),
  workloadAddresses: z
    .enum(['Headless', 'All'])
    .optional()
    .describe(
      'Which workloads are called at addresses of their own, beside their Services: those that a headless Service selects, or all, of which then every proxy is told. Absent: Headless.',
    ),
  defaults: z
    .strictObject({
      connectTimeout: connectTimeout.default('5s'),
      balance: plainBalance().default('LeastRequest').describe('How an endpoint is chosen.'),
    })
    .default({ connectTimeout: '5s', balance: 'LeastRequest' })
    .describe('What holds for every Service without a BackendPolicy.'),
})
export type MeshSpec = z.infer<typeof spec>
export type MeshResource = Resource<MeshSpec>

export const mesh: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'Mesh',
  plural: 'meshes',
  singular: 'mesh',
  shortNames: [],
  categories: ['weft'],
  namespaced: false,
  hasStatus: true,
  description: 'The Mesh named "default" holds the settings of the whole mesh. There is one.',
  schema: z.strictObject({
    spec: spec
      .default({ mtls: { mode: 'permissive' }, defaults: { connectTimeout: '5s', balance: 'LeastRequest' } })
      .describe('Settings of the whole mesh.'),
    status: z
      .strictObject({ conditions: conditions().optional().describe('Accepted.') })
      .optional()
      .describe('What the control plane reports.'),
  }),
  columns: [
    { name: 'mTLS', type: 'string', description: 'strict or permissive', value: r => (r as MeshResource).spec?.mtls?.mode },
    { name: 'Balance', type: 'string', description: 'How an endpoint is chosen', value: r => (r as MeshResource).spec?.defaults?.balance },
    {
      name: 'Trust-Domain',
      type: 'string',
      description: 'Trust domain of all identities',
      value: r => (r as MeshResource).spec?.trustDomain,
    },
    conditionColumn('Accepted'),
    age,
  ],
}
