/** Listeners as Gateway and ListenerSet declare them, with the rules of their CRDs. */

import { z } from 'zod'
import type { Broken } from '../kind.ts'
import { atomicList, conditions, dnsName, groupName, hostname, kindName, labelSelector, mapList, portNumber, rules } from '../fields.ts'
import { gatewayGroup, secretRef } from './references.ts'

const tls = z
  .strictObject({
    mode: z.enum(['Terminate', 'Passthrough']).default('Terminate').describe('Whether TLS ends here or is passed on.'),
    certificateRefs: atomicList(secretRef).max(64).optional().describe('Secrets with the certificates and their keys.'),
    options: z
      .record(z.string(), z.string().max(4096))
      .optional()
      .describe('Settings of an implementation. Weft has weft.dev/tls-profile: modern, compatible, fips or pqc.'),
  })
  .check(
    rules(function* ({ mode, certificateRefs = [], options = {} }) {
      if (mode === 'Terminate' && certificateRefs.length === 0 && Object.keys(options).length === 0)
        yield { path: ['certificateRefs'], says: 'is needed for mode Terminate: name a Secret with the certificate' }
    }),
  )

const routeKind = z.strictObject({
  group: groupName().default(gatewayGroup).describe('API group of the route kind.'),
  kind: kindName().describe('A route kind such as HTTPRoute.'),
})

const allowedRoutes = z.strictObject({
  namespaces: z
    .strictObject({
      from: z.enum(['All', 'Selector', 'Same']).default('Same').describe('Whose routes may attach.'),
      selector: labelSelector.optional().describe('Labels of the namespaces, for Selector.'),
    })
    .default({ from: 'Same' })
    .describe('Namespaces whose routes may attach.'),
  kinds: atomicList(routeKind).max(8).optional().describe('Kinds of routes that may attach; absent: those that fit the protocol.'),
})

export const listener = z.strictObject({
  name: dnsName().describe('Name, unique in the list; sectionName of routes refers to it.'),
  hostname: hostname().optional().describe('Host for which it holds; absent: every host.'),
  port: portNumber().describe('The port.'),
  protocol: z
    .string()
    .min(1)
    .max(255)
    .regex(/^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$/)
    .describe('HTTP, HTTPS, TLS, TCP, UDP, or example.com/name of an implementation.'),
  tls: tls.optional().describe('How TLS is handled, for HTTPS and TLS.'),
  allowedRoutes: allowedRoutes.default({ namespaces: { from: 'Same' } }).describe('Which routes may attach.'),
})
export type ListenerShape = z.infer<typeof listener>

function* fitsProtocol(list: readonly ListenerShape[]): Iterable<Broken> {
  for (const [at, { protocol, tls, hostname }] of list.entries()) {
    if (['HTTP', 'TCP', 'UDP'].includes(protocol) && tls) yield { path: [at, 'tls'], says: `does not go with protocol ${protocol}` }
    if (protocol === 'HTTPS' && tls && tls.mode !== 'Terminate')
      yield { path: [at, 'tls', 'mode'], says: 'must be Terminate for protocol HTTPS' }
    if (protocol === 'TLS' && !tls) yield { path: [at, 'tls'], says: 'is needed for protocol TLS: say mode Terminate or Passthrough' }
    if (['TCP', 'UDP'].includes(protocol) && hostname) yield { path: [at, 'hostname'], says: `does not go with protocol ${protocol}` }
  }
}

function* distinct(list: readonly ListenerShape[]): Iterable<Broken> {
  const names = new Map<string, number>()
  const places = new Map<string, number>()
  for (const [at, { name, port, protocol, hostname }] of list.entries()) {
    if (names.has(name)) yield { path: [at, 'name'], says: `the name "${name}" is taken by entry ${names.get(name)}; names must differ` }
    names.set(name, at)
    const place = `${port} ${protocol} ${hostname ?? ''}`
    if (places.has(place)) yield { path: [at], says: `has the same port, protocol and hostname as entry ${places.get(place)}` }
    places.set(place, at)
  }
}

export const listeners = () => mapList(listener, 'name').min(1).max(64).check(rules<readonly ListenerShape[]>(fitsProtocol, distinct))

export const listenerStatuses = () =>
  mapList(
    z.strictObject({
      name: dnsName().describe('The listener.'),
      supportedKinds: atomicList(routeKind).max(8).optional().describe('Kinds of routes that may attach.'),
      attachedRoutes: z.int32().describe('How many routes are attached.'),
      conditions: conditions().describe('Accepted, Programmed, ResolvedRefs, Conflicted.'),
    }),
    'name',
  ).max(64)
