/** What policies of requests hold for: Services, their ports, routes, their rules. The shapes that such policies share. */

import { z } from 'zod'
import type { Broken } from '../fields.ts'
import { atomicList, conditions, controllerName, dnsName, objectName, rules } from '../fields.ts'
import { gatewayGroup, parentRef } from '../gateway-api/references.ts'

const routeTarget = z
  .strictObject({
    group: z.enum(['', gatewayGroup]).default('').describe(`API group of the target: "" for a Service, ${gatewayGroup} for a route.`),
    kind: z.enum(['Service', 'HTTPRoute', 'GRPCRoute']).default('Service').describe('Kind of the target.'),
    name: objectName().describe('Name of the target, in the same namespace.'),
    sectionName: dnsName().optional().describe('A port name of the Service, or a rule name of the route; absent: all of it.'),
  })
  .check(
    rules(function* ({ group, kind }) {
      const right = kind === 'Service' ? '' : gatewayGroup
      if (group !== right) yield { path: ['group'], says: `must be "${right}" for kind ${kind}` }
    }),
  )
export type RouteTarget = z.infer<typeof routeTarget>

export const routeTargets = () =>
  atomicList(routeTarget)
    .min(1)
    .max(16)
    .check(
      rules(function* (refs) {
        const same = (one: RouteTarget, other: RouteTarget) =>
          one.kind === other.kind && one.name === other.name && one.sectionName === other.sectionName
        for (const [at, one] of refs.entries())
          if (refs.findIndex(other => same(one, other)) < at) yield { path: [at], says: 'repeats an earlier entry: remove one' }
      }),
    )
    .describe(
      'For what it holds. The narrower target wins: a rule before its route, a route before a port, a port before its Service; of two equals the older.',
    )

export const policyStatus = () =>
  z
    .strictObject({
      ancestors: atomicList(
        z.strictObject({
          ancestorRef: parentRef.describe('The target in question.'),
          controllerName: controllerName().describe('Who reports.'),
          conditions: conditions().describe('Accepted.'),
        }),
      )
        .max(16)
        .describe('One entry for each target.'),
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
    ((resource.spec as { targetRefs?: readonly RouteTarget[] } | undefined)?.targetRefs ?? [])
      .map(({ kind, name, sectionName }) => `${kind}/${name}${sectionName === undefined ? '' : `#${sectionName}`}`)
      .join(','),
}
