/** AuthenticationPolicy: whether callers of workloads must prove who they are, by mutual TLS. */

import { z } from 'zod'
import { age } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { enforcedColumn, enforcement } from './enforcement.ts'
import { policyStatus, policyTargets, targetsColumn } from './route-targets.ts'

const spec = z.strictObject({
  targetRefs: policyTargets('Mesh', 'Namespace', 'Workload', 'Service'),
  mtls: z
    .strictObject({
      mode: z
        .enum(['Strict', 'Permissive', 'Disabled'])
        .describe(
          'Strict: mutual TLS only. Permissive: plaintext too, while callers are being brought into the mesh; callers of the mesh use mutual TLS. Disabled: plaintext only, from callers of the mesh too, so that nobody proves an identity there.',
        ),
    })
    .describe('Mutual TLS at the ports of the workloads. Nothing says it: what spec.mtls of the Mesh says.'),
})
export type AuthenticationPolicySpec = z.infer<typeof spec>
export type AuthenticationPolicy = Resource<AuthenticationPolicySpec>

export const authenticationPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'AuthenticationPolicy',
  plural: 'authenticationpolicies',
  singular: 'authenticationpolicy',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'An AuthenticationPolicy says whether callers of workloads must prove who they are by mutual TLS: for the mesh, a namespace, workloads, a Service or one port of it. Ports of UDP are strict always. `weft mtls report` tells who still speaks plaintext.',
  schema: z.strictObject({
    spec: spec.describe('For what it holds and what it says.'),
    status: policyStatus({ enforcement: enforcement() }),
  }),
  columns: [
    targetsColumn,
    {
      name: 'Mode',
      type: 'string',
      description: 'Strict, Permissive or Disabled',
      value: r => (r as AuthenticationPolicy).spec?.mtls?.mode,
    },
    enforcedColumn,
    age,
  ],
}
