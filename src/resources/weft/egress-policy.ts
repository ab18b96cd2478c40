/** EgressPolicy: what workloads may call outside the mesh. */

import { z } from 'zod'
import { age, atomicList, dnsName, hostname, network, objectName, portNumber, rules, stringMap } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { rootNamespace } from './access-policy.ts'
import { clients } from './clients.ts'
import { policyStatus, targetsColumn } from './route-targets.ts'

const groups = { Mesh: 'weft.dev', Namespace: '', Workload: 'weft.dev' } as const

const target = z
  .strictObject({
    group: z.enum(['', 'weft.dev']).optional().describe('API group of the target; absent: the one that has the kind.'),
    kind: z
      .enum(['Mesh', 'Namespace', 'Workload'])
      .describe(
        `Mesh: all workloads, for policies of the namespace ${rootNamespace} only. Namespace: those of the policy's namespace. Workload: those of the namespace that have the labels.`,
      ),
    name: objectName().optional().describe('For kind Namespace that of the policy, for Mesh "default", or absent.'),
    labels: stringMap()
      .optional()
      .describe('For kind Workload: labels that it must all have; app is its service where it has no such label.'),
  })
  .check(
    rules(function* ({ group, kind, name, labels }) {
      if (group !== undefined && group !== groups[kind]) yield { path: ['group'], says: `must be "${groups[kind]}" for kind ${kind}` }
      if (kind === 'Workload' && name !== undefined) yield { path: ['name'], says: 'does not go with kind Workload: give labels' }
      if (kind === 'Workload' && Object.keys(labels ?? {}).length === 0) yield { path: ['labels'], says: 'are needed for kind Workload' }
      if (kind !== 'Workload' && labels !== undefined) yield { path: ['labels'], says: `do not go with kind ${kind}: remove them` }
    }),
  )
export type EgressTargetRef = z.infer<typeof target>

const list = <T extends z.ZodType>(item: T) => atomicList(item).min(1).max(64)
const method = () => z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/, { message: 'must be a method of HTTP' })

const path = z
  .strictObject({
    type: z.enum(['Exact', 'Prefix']).default('Prefix').describe('Prefix: whole segments, /a is /a and /a/b and not /ab.'),
    value: z.string().min(1).max(1024).describe('In normal form; case counts.'),
  })
  .check(
    rules(function* ({ value }) {
      if (!value.startsWith('/')) yield { path: ['value'], says: 'must begin with /' }
      if (/\/\/|[?#;%\\\s]|(^|\/)\.{1,2}(\/|$)/.test(value))
        yield {
          path: ['value'],
          says: 'is not in normal form, so that no request would match: no //, no . or .. segments, no % ? # ; or backslash',
        }
    }),
  )

const destination = z
  .strictObject({
    hosts: list(hostname())
      .optional()
      .describe(
        "Names: by the server name of TLS, the host of HTTP, and for other bytes the name that the mesh's DNS was asked; *.example.com for all names below it. What a name allows goes to where the proxy finds that name, whatever address the caller had.",
      ),
    ipBlocks: list(network()).optional().describe('Addresses or networks to which the connection goes.'),
    ports: list(portNumber()).optional().describe('Ports; absent: all.'),
    methods: list(method()).optional().describe('Methods of HTTP; case counts where it lets out, and not where it denies.'),
    paths: list(path).optional().describe('Paths of HTTP, normalised before they are compared.'),
  })
  .check(
    rules(function* (one) {
      if (Object.keys(one).length === 0) yield { path: [], says: 'must say something: an empty entry would mean everything' }
      if (one.hosts !== undefined && one.ipBlocks !== undefined)
        yield { path: ['ipBlocks'], says: 'does not go with hosts: make two entries of it' }
    }),
  )
export type EgressDestination = z.infer<typeof destination>

const rule = z.strictObject({
  name: dnsName().optional().describe('For people.'),
  action: z.enum(['Allow', 'Deny']).default('Allow').describe('Deny goes first, of all policies that hold for the workload.'),
  from: clients(),
  to: list(destination).optional().describe('What is called: one of these; of one all that it says. Absent: everything.'),
})

const spec = z
  .strictObject({
    targetRefs: atomicList(target).min(1).max(16).describe('Whose calls it judges.'),
    default: z
      .enum(['Allow', 'Deny'])
      .optional()
      .describe(
        'What becomes of calls of which no rule says anything and that are no ExternalService. That of the narrowest target counts: Workload, Namespace, Mesh; of two equals Deny. Absent, and nowhere else given: Allow.',
      ),
    rules: atomicList(rule).max(256).default([]).describe('What is denied, and what is allowed where the default is Deny.'),
  })
  .check(
    rules(function* ({ default: otherwise, rules: all }) {
      if (otherwise === undefined && all.length === 0) yield { path: [], says: 'give default, rules or both' }
    }),
  )
export type EgressPolicySpec = z.infer<typeof spec>
export type EgressPolicy = Resource<EgressPolicySpec>

export const egressPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'EgressPolicy',
  plural: 'egresspolicies',
  singular: 'egresspolicy',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'An EgressPolicy says what workloads may call outside the mesh. Their own proxies keep it: requests are answered 403 or PERMISSION_DENIED with the code egress-denied and the name of the policy, connections are reset, datagrams refused. ExternalServices are allowed but for what is denied.',
  schema: z.strictObject({ spec: spec.describe('For whom it holds and what it says.'), status: policyStatus() }),
  columns: [
    targetsColumn,
    { name: 'Default', type: 'string', description: 'What becomes of all else', value: r => (r as EgressPolicy).spec?.default },
    { name: 'Rules', type: 'integer', description: 'How many', value: r => (r as EgressPolicy).spec?.rules?.length ?? 0 },
    age,
  ],
}
