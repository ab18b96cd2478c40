/** What policies hold for: the mesh, namespaces, workloads, Services, their ports, routes, their rules. The shapes that policies share. */

import { z } from 'zod'
import type { Broken } from '../kind.ts'
import { atomicList, conditions, controllerName, dnsName, objectName, rules, stringMap } from '../fields.ts'
import { gatewayGroup, parentRef } from '../gateway-api/references.ts'
import { rootNamespace } from './access-policy.ts'

const groupOfKind = {
  Mesh: 'weft.dev',
  Namespace: '',
  Workload: 'weft.dev',
  Service: '',
  ServiceSubset: 'weft.dev',
  ExternalService: 'weft.dev',
  Gateway: gatewayGroup,
  HTTPRoute: gatewayGroup,
  GRPCRoute: gatewayGroup,
  TCPRoute: gatewayGroup,
  UDPRoute: gatewayGroup,
} as const
export type TargetKind = keyof typeof groupOfKind
/** group: absent: the one that has the kind. name: absent for Mesh, Namespace and Workload where it goes without saying. */
export type PolicyTarget = {
  readonly group?: string | undefined
  readonly kind: TargetKind
  readonly name?: string | undefined
  readonly sectionName?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
}

const meanings: Readonly<Record<TargetKind, string>> = {
  Mesh: `Mesh: everything, for policies of the namespace ${rootNamespace} only.`,
  Namespace: "Namespace: all Services of the policy's namespace.",
  Workload: 'Workload: the workloads of the namespace that have the labels.',
  Service: 'Service: one Service of the namespace, or a port of it.',
  ServiceSubset: 'ServiceSubset: one of the namespace, where routes lead to it.',
  ExternalService: 'ExternalService: one of the namespace, or a port of it.',
  Gateway: 'Gateway: one of the namespace, or a listener of it.',
  HTTPRoute: 'HTTPRoute: one of the namespace, or a rule of it.',
  GRPCRoute: 'GRPCRoute: the same.',
  TCPRoute: 'TCPRoute: one of the namespace.',
  UDPRoute: 'UDPRoute: the same.',
}

type TargetOf<Kind extends TargetKind> = PolicyTarget & { readonly kind: Kind }

/** Targets of these kinds; what does not go together is refused by its field. */
export const policyTargets = <Kinds extends readonly [TargetKind, ...TargetKind[]]>(...kinds: Kinds) =>
  atomicList(targetOf(kinds))
    .min(1)
    .max(16)
    .check(
      rules<PolicyTarget[]>(function* (refs) {
        const key = ({ kind, name, sectionName, labels }: PolicyTarget) =>
          JSON.stringify([kind, name, sectionName, Object.entries(labels ?? {}).sort()])
        for (const [at, one] of refs.entries())
          if (refs.findIndex(other => key(one) === key(other)) < at) yield { path: [at], says: 'repeats an earlier entry: remove one' }
      }),
    )
    .describe(
      'For what it holds. The narrower target wins, field by field: Mesh, Namespace, Workload, Service, port, ServiceSubset, Gateway, listener, route, rule; of two equals the one that names clients, then the older.',
    )

function targetOf<Kinds extends readonly [TargetKind, ...TargetKind[]]>(kinds: Kinds): z.ZodType<TargetOf<Kinds[number]>> {
  const shape = {
    group: z.enum(['', 'weft.dev', gatewayGroup]).optional().describe('API group of the target; absent: the one that has the kind.'),
    // Absent: Service, where there may be one.
    kind: (kinds.includes('Service') ? z.enum(kinds).default('Service' as never) : z.enum(kinds)).describe(
      kinds.map(kind => meanings[kind]).join(' '),
    ),
    name: objectName()
      .optional()
      .describe('Name of the target, in the same namespace; for kind Namespace that of the policy, for Mesh "default", or absent.'),
    sectionName: dnsName()
      .optional()
      .describe('A port name of the Service, a listener of the Gateway, or a rule name of the route; absent: all of it.'),
  }
  const labels = stringMap()
    .optional()
    .describe('For kind Workload: labels that it must all have; app is its service where it has no such label.')
  const whole = kinds.includes('Workload') ? z.strictObject({ ...shape, labels }) : z.strictObject(shape)
  // The type of a schema that is one of two is more than the checker can follow; the shape above is that of PolicyTarget.
  return whole.check(rules(fitting) as never) as unknown as z.ZodType<TargetOf<Kinds[number]>>
}

function* fitting({ group, kind, name, sectionName, labels }: PolicyTarget): Iterable<Broken> {
  const right = groupOfKind[kind]
  const isWide = kind === 'Mesh' || kind === 'Namespace' || kind === 'Workload'
  if (group !== undefined && group !== right) yield { path: ['group'], says: `must be "${right}" for kind ${kind}` }
  if (!isWide && name === undefined) yield { path: ['name'], says: `is needed for kind ${kind}` }
  if ((isWide || kind === 'ServiceSubset') && sectionName !== undefined)
    yield { path: ['sectionName'], says: `does not go with kind ${kind}: remove it` }
  if (kind === 'Workload' && name !== undefined) yield { path: ['name'], says: 'does not go with kind Workload: give labels' }
  if (kind === 'Workload' && Object.keys(labels ?? {}).length === 0) yield { path: ['labels'], says: 'are needed for kind Workload' }
  if (kind !== 'Workload' && labels !== undefined) yield { path: ['labels'], says: `do not go with kind ${kind}: remove them` }
}

/** more: further fields. */
export const policyStatus = (more: Readonly<Record<string, z.ZodType>> = {}) =>
  z
    .strictObject({
      ancestors: atomicList(
        z.strictObject({
          ancestorRef: parentRef.describe('The target in question.'),
          controllerName: controllerName().describe('Who reports.'),
          conditions: conditions().describe(
            'Accepted; PartiallyInvalid where a field cannot be carried out there; Conflicted where another policy says the same.',
          ),
        }),
      )
        .max(16)
        .describe('One entry for each target.'),
      ...more,
    })
    .optional()
    .describe('What the control plane makes of it.')

/** How many requests, as Gateway API writes it for mirrors. */
export const partOf = {
  percent: z.int32().min(0).max(100).optional().describe('How many of 100 requests; absent, and without a fraction: all.'),
  fraction: z
    .strictObject({
      numerator: z.int32().min(0).describe('Parts taken.'),
      denominator: z.int32().min(1).default(100).describe('Parts in all.'),
    })
    .check(
      rules(function* ({ numerator, denominator }) {
        if (numerator > denominator) yield { path: ['numerator'], says: `must not be larger than denominator (${denominator})` }
      }),
    )
    .optional()
    .describe('Which part of the requests.'),
}
export type Part = {
  readonly percent?: number | undefined
  readonly fraction?: { readonly numerator: number; readonly denominator: number } | undefined
}
export function* onePart({ percent, fraction }: Part): Iterable<Broken> {
  if (percent !== undefined && fraction !== undefined) yield { path: ['fraction'], says: 'give percent or fraction, not both' }
}

export const targetsColumn = {
  name: 'Targets',
  type: 'string' as const,
  description: 'For what it holds',
  value: (resource: { readonly spec?: unknown }) =>
    ((resource.spec as { targetRefs?: readonly PolicyTarget[] } | undefined)?.targetRefs ?? []).map(tellTarget).join(','),
}

/** `Service/cart#http`, `Workload/tier=web`. */
export function tellTarget({ kind, name, sectionName, labels }: PolicyTarget): string {
  const what =
    labels === undefined
      ? name
      : Object.entries(labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(',')
  return `${kind}${what === undefined ? '' : `/${what}`}${sectionName === undefined ? '' : `#${sectionName}`}`
}
