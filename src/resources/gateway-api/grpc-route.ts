/** GRPCRoute: which gRPC calls go where. */

import { z } from 'zod'
import type { Broken, Kind, Resource } from '../kind.ts'
import { age, atomicList, headerName, hostname, mapList, rules } from '../fields.ts'
import { grpcFilters } from './filters.ts'
import { hostnamesColumn } from './http-route.ts'
import { distinctNames, filteredBackendRef, gatewayGroup, parentRefs, routeStatus, ruleName, useDefaultGateways } from './references.ts'
import { sessionPersistence } from './session.ts'

const methodMatch = z
  .strictObject({
    type: z.enum(['Exact', 'RegularExpression']).default('Exact').describe('How service and method are compared.'),
    service: z.string().max(1024).optional().describe('Full name of the gRPC service, such as shop.v1.Cart.'),
    method: z.string().max(1024).optional().describe('Name of the method.'),
  })
  .check(
    rules(function* ({ type, service, method }) {
      if (service === undefined && method === undefined) yield { path: [], says: 'give service, method or both' }
      if (type !== 'Exact') return
      if (service !== undefined && !/^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i.test(service))
        yield { path: ['service'], says: 'must be a protobuf name such as shop.v1.Cart' }
      if (method !== undefined && !/^[A-Za-z_][A-Za-z_0-9]*$/.test(method))
        yield { path: ['method'], says: 'must be a protobuf method name such as AddItem' }
    }),
  )

const match = z.strictObject({
  method: methodMatch.optional().describe('The call.'),
  headers: mapList(
    z.strictObject({
      type: z.enum(['Exact', 'RegularExpression']).default('Exact').describe('How the value is compared.'),
      name: headerName().describe('Name, in any case.'),
      value: z.string().min(1).max(4096).describe('Value.'),
    }),
    'name',
  )
    .max(16)
    .optional()
    .describe('Metadata entries that must all match.'),
})

const rule = z.strictObject({
  name: ruleName(),
  matches: atomicList(match)
    .max(64)
    .optional()
    .describe('The rule applies to a call that any of these matches; without any, to every call.'),
  filters: grpcFilters().optional().describe('What is done to calls and answers.'),
  backendRefs: atomicList(filteredBackendRef(grpcFilters().optional().describe('What is done to calls of this backend only.')))
    .max(16)
    .optional()
    .describe('Where calls go, by weight. Without any the answer is UNAVAILABLE.'),
  sessionPersistence: sessionPersistence.optional().describe('Whether a client keeps its endpoint, as long as that serves.'),
})

function* fewMatches(list: readonly { readonly matches?: readonly unknown[] | undefined }[]): Iterable<Broken> {
  const total = list.reduce((sum, each) => sum + (each.matches?.length ?? 0), 0)
  if (total > 128) yield { path: [], says: `has ${total} matches in all; at most 128 are allowed: split the route` }
}

const spec = z.strictObject({
  parentRefs: parentRefs().optional().describe('What the route attaches to: Services of the mesh, or Gateways.'),
  hostnames: atomicList(hostname()).max(16).optional().describe('Hosts for which it holds, on Gateways.'),
  useDefaultGateways: useDefaultGateways(),
  rules: atomicList(rule)
    .max(16)
    .check(rules<readonly z.infer<typeof rule>[]>(fewMatches, distinctNames))
    .optional()
    .describe('What is done with which calls.'),
})
export type GRPCRule = z.infer<typeof rule>
export type GRPCMatch = z.infer<typeof match>
export type GRPCRouteSpec = z.infer<typeof spec>
export type GRPCRoute = Resource<GRPCRouteSpec>

export const grpcRoute: Kind = {
  group: gatewayGroup,
  version: 'v1',
  alsoVersions: ['v1alpha2'],
  kind: 'GRPCRoute',
  plural: 'grpcroutes',
  singular: 'grpcroute',
  shortNames: [],
  categories: ['gateway-api'],
  namespaced: true,
  hasStatus: true,
  description:
    'A GRPCRoute says which gRPC calls to its parents go where, by service, method and metadata, with weights. With a Service as parent it routes calls inside the mesh, with a Gateway those that come from outside. What no rule matches is answered UNIMPLEMENTED, what leads nowhere UNAVAILABLE. On a port it stands in place of any HTTPRoute. The annotation weft.dev/from makes it hold for some clients only, such as service=checkout.',
  schema: z.strictObject({ spec: spec.describe('The parents and the rules.'), status: routeStatus() }),
  columns: [hostnamesColumn, age],
}
