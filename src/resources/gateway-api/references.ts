/** How routes name their parents and their backends: the references of Gateway API, with the defaults and rules of its CRDs. */

import { z } from 'zod'
import type { Broken } from '../kind.ts'
import { atomicList, controllerName, conditions, dnsLabel, dnsName, groupName, kindName, objectName, portNumber, rules } from '../fields.ts'

export const gatewayGroup = 'gateway.networking.k8s.io'

export const parentRef = z.strictObject({
  group: groupName().default(gatewayGroup).describe('API group of the parent; "" for a Service.'),
  kind: kindName().default('Gateway').describe('Kind of the parent: Gateway, or Service to route traffic inside the mesh.'),
  namespace: dnsLabel()
    .optional()
    .describe(
      'Namespace of the parent; absent: that of the route. A route of another namespace than its Service holds only for clients of its own namespace.',
    ),
  name: objectName().describe('Name of the parent.'),
  sectionName: dnsName().optional().describe('A listener of the Gateway, or a port name of the Service; absent: all of them.'),
  port: portNumber().optional().describe('A port of the parent; absent: all of them.'),
})
export type ParentRef = z.infer<typeof parentRef>

const same = (one: ParentRef, other: ParentRef): boolean =>
  one.group === other.group && one.kind === other.kind && one.name === other.name && (one.namespace ?? '') === (other.namespace ?? '')

function* distinctParents(parents: readonly ParentRef[]): Iterable<Broken> {
  for (const [at, one] of parents.entries())
    for (const [before, other] of parents.slice(0, at).entries()) {
      if (!same(one, other)) continue
      if (!one.sectionName !== !other.sectionName || !one.port !== !other.port)
        yield { path: [at], says: `names the same parent as parentRefs[${before}]: give both a sectionName or both a port` }
      else if (one.sectionName === other.sectionName && one.port === other.port)
        yield { path: [at], says: `repeats parentRefs[${before}]: remove one, or tell them apart by sectionName or port` }
    }
}

export const parentRefs = () => atomicList(parentRef).max(32).check(rules(distinctParents))

const target = {
  group: groupName().default('').describe('API group of the backend; "" for a Service.'),
  kind: kindName().default('Service').describe('Kind of the backend.'),
  name: objectName().describe('Name of the backend.'),
  namespace: dnsLabel()
    .optional()
    .describe('Namespace of the backend; absent: that of the route. Another one must permit it by a ReferenceGrant.'),
  port: portNumber().optional().describe('Port of the Service (not of its workloads); needed for a Service and a ServiceSubset.'),
}
type Target = { readonly group: string; readonly kind: string; readonly port?: number | undefined }

function* servicePort({ group, kind, port }: Target): Iterable<Broken> {
  const isService = (group === '' && kind === 'Service') || (group === 'weft.dev' && kind === 'ServiceSubset')
  if (isService && port === undefined) yield { path: ['port'], says: 'is needed: write the port of the Service' }
}

/** A reference to one backend without a share, as mirrors and external authorization use it. */
export const backendObject = z.strictObject(target).check(rules(servicePort))
export type BackendObject = z.infer<typeof backendObject>

const weight = z
  .int32()
  .min(0)
  .max(1_000_000)
  .default(1)
  .describe('Its share: this number of parts of the sum over all backendRefs; 0 gets nothing.')

export const backendRef = z.strictObject({ ...target, weight }).check(rules(servicePort))
export type BackendRef = z.infer<typeof backendRef>

/** A backendRef that carries filters of its own. */
export const filteredBackendRef = <T extends z.ZodType>(filters: T) =>
  z.strictObject({ ...target, weight, filters }).check(rules(servicePort))

export const localObject = z.strictObject({
  group: groupName().describe('API group of the object; "" for core.'),
  kind: kindName().describe('Kind of the object.'),
  name: objectName().describe('Name of the object, in the same namespace.'),
})
export const anyObject = z.strictObject({
  group: groupName().describe('API group of the object; "" for core.'),
  kind: kindName().describe('Kind of the object.'),
  name: objectName().describe('Name of the object.'),
  namespace: dnsLabel().optional().describe('Namespace of the object.'),
})
export const secretRef = z.strictObject({
  group: groupName().default('').describe('API group of the object; "" for a Secret.'),
  kind: kindName().default('Secret').describe('Kind of the object.'),
  name: objectName().describe('Name of the object.'),
  namespace: dnsLabel().optional().describe('Namespace of the object; another one must permit it by a ReferenceGrant.'),
})

export const useDefaultGateways = () =>
  z.enum(['All', 'None']).optional().describe('Whether the route also attaches to the default Gateways of the cluster.')
export const ruleName = () => dnsName().optional().describe('Name of the rule, unique in the route; policies and metrics refer to it.')

export function* distinctNames(list: readonly { readonly name?: string | undefined }[]): Iterable<Broken> {
  const seen = new Map<string, number>()
  for (const [at, { name }] of list.entries()) {
    if (name === undefined) continue
    if (seen.has(name)) yield { path: [at, 'name'], says: `the name "${name}" is taken by entry ${seen.get(name)}; names must differ` }
    else seen.set(name, at)
  }
}

export const routeStatus = () =>
  z
    .strictObject({
      parents: atomicList(
        z.strictObject({
          parentRef: parentRef.describe('The parent, as the route names it.'),
          controllerName: controllerName().describe('Who reports.'),
          conditions: conditions().optional().describe('Accepted, ResolvedRefs, PartiallyInvalid.'),
        }),
      )
        .max(32)
        .describe('One entry for each parent that some controller looks after.'),
    })
    .optional()
    .describe('What the controllers of its parents make of the route.')
