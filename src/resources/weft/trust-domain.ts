/** TrustDomain: another mesh, whose workloads are believed to be who its authority says they are. */

import { z } from 'zod'
import { age, atomicList, conditionColumn, conditions, idTemplate, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'

const endpoint = z
  .strictObject({
    url: z
      .string()
      .max(2048)
      .regex(/^https:\/\/[^\s/?#@]+(\/[^\s]*)?$/, { message: 'must be an https:// address without user name' })
      .describe('Where its bundle is served.'),
    profile: z
      .enum(['HTTPSWeb', 'HTTPSSPIFFE'])
      .default('HTTPSWeb')
      .describe(
        'How the server proves who it is. HTTPSWeb: by a certificate for its host name. HTTPSSPIFFE: by one for a SPIFFE id of its trust domain, which the bundle that is known already verifies; the first one stands in bundle.',
      ),
    spiffeID: z
      .string()
      .regex(/^spiffe:\/\/[a-z0-9._-]{1,255}\/[^\s]+$/, {
        message: 'must be a SPIFFE id such as spiffe://partner.example/ns/weft-system/sa/control',
      })
      .max(2048)
      .optional()
      .describe('Who the server must be. Needed for HTTPSSPIFFE.'),
    certificateAuthorities: z
      .string()
      .max(65_536)
      .regex(/-----BEGIN CERTIFICATE-----/, { message: 'must be certificates in PEM' })
      .optional()
      .describe('For HTTPSWeb: who signs the certificate of the server, PEM. Absent: whom the machine of the control plane trusts.'),
  })
  .check(
    rules(function* ({ profile, spiffeID, certificateAuthorities }) {
      if (profile === 'HTTPSSPIFFE' && spiffeID === undefined) yield { path: ['spiffeID'], says: 'is needed with profile HTTPSSPIFFE' }
      if (profile === 'HTTPSWeb' && spiffeID !== undefined)
        yield { path: ['spiffeID'], says: 'goes with profile HTTPSSPIFFE only: remove it' }
      if (profile === 'HTTPSSPIFFE' && certificateAuthorities !== undefined)
        yield { path: ['certificateAuthorities'], says: 'goes with profile HTTPSWeb only: remove it' }
    }),
  )

const spec = z
  .strictObject({
    trustDomain: z
      .string()
      .regex(/^[a-z0-9._-]{1,255}$/, { message: 'must be a SPIFFE trust domain: lower-case letters, digits, ".", "-" and "_"' })
      .describe('Its name. Its certificates are believed for identities of this domain only.'),
    spiffeIDTemplate: idTemplate()
      .optional()
      .describe(
        'Where the namespace and the service account stand in its ids, for AccessPolicies that name those. Absent: /ns/{namespace}/sa/{serviceAccount}.',
      ),
    bundleEndpoint: endpoint.optional().describe('Where its roots are asked for, again and again.'),
    bundle: z
      .string()
      .max(262_144)
      .optional()
      .describe(
        'Its roots: certificates in PEM, or a SPIFFE bundle in JSON, as GET /weft/v1/trust-bundle and weft cert bundle give them. With bundleEndpoint: what is believed until the first answer.',
      ),
  })
  .check(
    rules(function* ({ trustDomain, bundleEndpoint, bundle }) {
      if (bundleEndpoint === undefined && bundle === undefined) yield { path: [], says: 'give bundleEndpoint or bundle' }
      if (
        bundleEndpoint?.profile === 'HTTPSSPIFFE' &&
        bundle === undefined &&
        bundleEndpoint.spiffeID?.startsWith(`spiffe://${trustDomain}/`)
      )
        yield { path: ['bundle'], says: 'is needed with profile HTTPSSPIFFE: the first answer must be verified by something' }
    }),
  )
export type TrustDomainSpec = z.infer<typeof spec>

const status = z.strictObject({
  conditions: conditions().optional().describe('Accepted, and Fetched where there is a bundle endpoint.'),
  sequence: z.int().min(0).optional().describe('spiffe_sequence of the bundle in use.'),
  refreshedAt: z.string().meta({ format: 'date-time' }).optional().describe('When the bundle in use was fetched.'),
  roots: atomicList(
    z.strictObject({
      subject: z.string().max(1024).describe('Its name.'),
      sha256: z.string().max(64).describe('Of the whole certificate.'),
      notAfter: z.string().meta({ format: 'date-time' }).describe('Its last day.'),
    }),
  )
    .max(64)
    .optional()
    .describe('The roots that are believed for this domain.'),
})
export type TrustDomainStatus = z.infer<typeof status>
export type TrustDomain = Resource<TrustDomainSpec, TrustDomainStatus>

export const trustDomain: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'TrustDomain',
  plural: 'trustdomains',
  singular: 'trustdomain',
  shortNames: ['td'],
  categories: ['weft'],
  namespaced: false,
  hasStatus: true,
  description:
    'A TrustDomain is another mesh of which the identities are believed, by SPIFFE federation. Nothing of this mesh may be called from there until an AccessPolicy names it.',
  schema: z.strictObject({
    spec: spec.describe('Its name and its roots.'),
    status: status.optional().describe('What the control plane knows of it.'),
  }),
  columns: [
    { name: 'Trust-Domain', type: 'string', description: 'Its name', value: r => (r as TrustDomain).spec?.trustDomain },
    { name: 'Endpoint', type: 'string', description: 'Where its bundle is', value: r => (r as TrustDomain).spec?.bundleEndpoint?.url },
    { name: 'Sequence', type: 'integer', description: 'Of the bundle in use', value: r => (r as TrustDomain).status?.sequence },
    conditionColumn('Accepted'),
    conditionColumn('Fetched'),
    age,
  ],
}
