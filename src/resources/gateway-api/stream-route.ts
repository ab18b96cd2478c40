/** TCPRoute, TLSRoute and UDPRoute: where connections and datagrams go that are not looked into. */

import { z } from 'zod'
import { age, atomicList, hostname, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { backendRef, distinctNames, gatewayGroup, parentRefs, routeStatus, ruleName, useDefaultGateways } from './references.ts'

const rule = z.strictObject({
  name: ruleName(),
  backendRefs: atomicList(backendRef)
    .min(1)
    .max(16)
    .describe('Where it goes, by weight: one choice for each connection, or session of datagrams.'),
})

/** v1 takes one rule, v1alpha2 took up to 16: all are read; whoever carries the route out says what it does with a second. */
const streamRules = () =>
  atomicList(rule).min(1).max(16).check(rules<readonly z.infer<typeof rule>[]>(distinctNames)).describe('Where connections go; one rule.')

const spec = z.strictObject({
  parentRefs: parentRefs().optional().describe('What the route attaches to: Services of the mesh, or Gateways.'),
  useDefaultGateways: useDefaultGateways(),
  rules: streamRules(),
})
const tlsSpec = z.strictObject({
  parentRefs: parentRefs().optional().describe('What the route attaches to: Services of the mesh, or Gateways.'),
  hostnames: atomicList(hostname())
    .max(1024)
    .check(
      rules(function* (hosts) {
        for (const [at, host] of hosts.entries())
          if (/^[0-9.]+$/.test(host)) yield { path: [at], says: 'must be a name, not an IP address: SNI carries names only (RFC 6066 §3)' }
      }),
    )
    .optional()
    .describe(
      'Names in the TLS ClientHello (SNI) for which it holds; the longest that fits wins. v1 requires at least one; absent: what no other route of the port names.',
    ),
  useDefaultGateways: useDefaultGateways(),
  rules: streamRules(),
})

export type TCPRouteSpec = z.infer<typeof spec>
export type TCPRoute = Resource<TCPRouteSpec>
export type UDPRoute = Resource<TCPRouteSpec>
export type TLSRoute = Resource<z.infer<typeof tlsSpec>>

const base = {
  group: gatewayGroup,
  version: 'v1',
  shortNames: [],
  categories: ['gateway-api'],
  namespaced: true,
  hasStatus: true,
  columns: [age],
} as const

export const tcpRoute: Kind = {
  ...base,
  alsoVersions: ['v1alpha2'],
  kind: 'TCPRoute',
  plural: 'tcproutes',
  singular: 'tcproute',
  description:
    'A TCPRoute says where the TCP connections to its parents go, with weights. With a Service as parent it splits connections inside the mesh. The annotation weft.dev/from makes it hold for some clients only, such as service=checkout.',
  schema: z.strictObject({ spec: spec.describe('The parents and the rule.'), status: routeStatus() }),
}

export const tlsRoute: Kind = {
  ...base,
  alsoVersions: ['v1alpha3', 'v1alpha2'],
  kind: 'TLSRoute',
  plural: 'tlsroutes',
  singular: 'tlsroute',
  description:
    'A TLSRoute says where TLS connections go, by the server name in their first message (SNI), without being decrypted. With a Service as parent it holds inside the mesh: what names none of its port is closed. The annotation weft.dev/from makes it hold for some clients only, such as service=checkout.',
  schema: z.strictObject({ spec: tlsSpec.describe('The parents, the server names and the rule.'), status: routeStatus() }),
}

export const udpRoute: Kind = {
  ...base,
  alsoVersions: ['v1alpha2'],
  kind: 'UDPRoute',
  plural: 'udproutes',
  singular: 'udproute',
  description:
    'A UDPRoute says where the datagrams to its parents go, with weights. With a Service as parent it splits sessions (one sender to one port) inside the mesh; a session stays where it began. The annotation weft.dev/from makes it hold for some clients only, such as service=checkout.',
  schema: z.strictObject({ spec: spec.describe('The parents and the rule.'), status: routeStatus() }),
}
