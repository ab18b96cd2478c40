/** BackendTLSPolicy: TLS towards a backend that is outside the mesh's own mutual TLS. */

import { z } from 'zod'
import { age, atomicList, conditions, controllerName, dnsName, groupName, hostname, kindName, objectName, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { gatewayGroup, localObject, parentRef } from './references.ts'

const targetRef = z.strictObject({
  group: groupName().describe('API group of the target; "" for a Service.'),
  kind: kindName().describe('Kind of the target, such as Service.'),
  name: objectName().describe('Name of the target, in the same namespace.'),
  sectionName: dnsName().optional().describe('A port name of the Service; absent: all its ports.'),
})

const subjectAltName = z
  .strictObject({
    type: z.enum(['Hostname', 'URI']).describe('What is compared.'),
    hostname: hostname().optional().describe('The DNS name, for type Hostname.'),
    uri: z.string().min(1).max(253).optional().describe('The URI, such as a SPIFFE id, for type URI.'),
  })
  .check(
    rules(function* ({ type, hostname, uri }) {
      const [wanted, other] = type === 'Hostname' ? (['hostname', 'uri'] as const) : (['uri', 'hostname'] as const)
      const has = { hostname, uri }
      if (!has[wanted]) yield { path: [wanted], says: `is needed for type ${type}` }
      if (has[other]) yield { path: [other], says: `does not go with type ${type}` }
    }),
  )

const validation = z
  .strictObject({
    hostname: hostname().describe('Name sent as SNI, and that the certificate must carry unless subjectAltNames are given.'),
    caCertificateRefs: atomicList(localObject)
      .max(8)
      .optional()
      .describe('ConfigMaps with certificates of the authorities that are trusted.'),
    wellKnownCACertificates: z.string().min(1).max(253).optional().describe('System: the authorities that the operating system trusts.'),
    subjectAltNames: atomicList(subjectAltName)
      .max(5)
      .optional()
      .describe('Names of which the certificate must carry one, instead of hostname.'),
  })
  .check(
    rules(function* ({ caCertificateRefs = [], wellKnownCACertificates }) {
      if (caCertificateRefs.length > 0 && wellKnownCACertificates)
        yield { path: ['wellKnownCACertificates'], says: 'give caCertificateRefs or wellKnownCACertificates, not both' }
      if (caCertificateRefs.length === 0 && !wellKnownCACertificates)
        yield { path: ['caCertificateRefs'], says: 'give caCertificateRefs or wellKnownCACertificates: one is needed' }
    }),
  )

const spec = z.strictObject({
  targetRefs: atomicList(targetRef)
    .min(1)
    .max(16)
    .check(
      rules(function* (refs) {
        for (const [at, one] of refs.entries())
          for (const [before, other] of refs.slice(0, at).entries())
            if (
              one.group === other.group &&
              one.kind === other.kind &&
              one.name === other.name &&
              (!one.sectionName || one.sectionName === other.sectionName || !other.sectionName)
            )
              yield { path: [at], says: `names the same target as entry ${before}: tell them apart by sectionName` }
      }),
    )
    .describe('The Services for which it holds.'),
  validation: validation.describe('How the backend proves who it is.'),
  options: z
    .record(z.string(), z.string().max(4096))
    .optional()
    .describe('Settings of an implementation. Weft has weft.dev/tls-profile: modern, compatible, fips or pqc.'),
})

export type BackendTLSPolicy = Resource<z.infer<typeof spec>>

export const backendTLSPolicy: Kind = {
  group: gatewayGroup,
  version: 'v1',
  alsoVersions: ['v1alpha3'],
  kind: 'BackendTLSPolicy',
  plural: 'backendtlspolicies',
  singular: 'backendtlspolicy',
  shortNames: ['btlspolicy'],
  categories: ['gateway-api'],
  namespaced: true,
  hasStatus: true,
  description:
    'A BackendTLSPolicy says that Gateways speak TLS to a Service, and how its certificate is checked. It holds for requests at Gateways; programs in the mesh speak TLS to such a Service themselves.',
  schema: z.strictObject({
    spec: spec.describe('The Services and the check.'),
    status: z
      .strictObject({
        ancestors: atomicList(
          z.strictObject({
            ancestorRef: parentRef.describe('The Gateway or Service in question.'),
            controllerName: controllerName().describe('Who reports.'),
            conditions: conditions().describe('Accepted, ResolvedRefs.'),
          }),
        )
          .max(16)
          .describe('One entry for each ancestor that some controller looks after.'),
      })
      .optional()
      .describe('What the controllers make of it.'),
  }),
  columns: [age],
}
