/** Revocation: whom the mesh believes no more, although their certificates are still good. */

import { z } from 'zod'
import { age, atomicList, conditionColumn, conditions, rules } from '../fields.ts'
import type { Condition, Kind, Resource } from '../kind.ts'

/** The reasons of RFC 5280 §5.3.1 that one can have for a certificate of a workload, in the order of their codes. */
export const revocationReasons = [
  'Unspecified',
  'KeyCompromise',
  'CACompromise',
  'AffiliationChanged',
  'Superseded',
  'CessationOfOperation',
  'CertificateHold',
  'PrivilegeWithdrawn',
] as const

const list = <T extends z.ZodType>(item: T) => atomicList(item).min(1).max(256)

const spec = z
  .strictObject({
    identities: list(
      z
        .string()
        .regex(/^spiffe:\/\/[^\s*/]+\/[^\s]*$/, {
          message: 'must be a SPIFFE id such as spiffe://weft.local/ns/shop/sa/web, or a pattern of one with * behind the trust domain',
        })
        .max(2048),
    )
      .optional()
      .describe(
        'SPIFFE ids, or patterns: * at the end stands for anything, elsewhere for a part between slashes. spiffe://weft.local/ns/shop/* is a namespace.',
      ),
    serials: list(
      z.string().regex(/^[0-9a-fA-F]{2}(:?[0-9a-fA-F]{2}){0,19}$/, {
        message: 'must be a serial number in hexadecimal, as weft cert doctor -o json tells it',
      }),
    )
      .optional()
      .describe('Serial numbers of single certificates, in hexadecimal: their workloads come back when they get others.'),
    trustDomains: list(z.string().regex(/^[a-z0-9._-]{1,255}$/, { message: 'must be a SPIFFE trust domain' }))
      .optional()
      .describe('Whole trust domains, other than that of the mesh.'),
    reason: z.enum(revocationReasons).default('Unspecified').describe('Why, in the words of RFC 5280; it stands in the revocation list.'),
    comment: z.string().max(1024).optional().describe('The same for people.'),
    until: z
      .string()
      .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/, {
        message: 'must be a time such as 2026-01-31T12:00:00Z (RFC 3339)',
      })
      .meta({ format: 'date-time' })
      .optional()
      .describe('When it ends by itself. Absent: when it is deleted.'),
  })
  .check(
    rules(function* ({ identities, serials, trustDomains, until }) {
      if (identities === undefined && serials === undefined && trustDomains === undefined)
        yield { path: [], says: 'give identities, serials or trustDomains' }
      if (until !== undefined && Number.isNaN(Date.parse(until))) yield { path: ['until'], says: 'is no time that exists' }
    }),
  )
export type RevocationSpec = z.infer<typeof spec>
export type Revocation = Resource<RevocationSpec, { readonly conditions?: readonly Condition[] }>

/** now: ms since the epoch. refused: the control plane does not carry it out, and its status says why. By the time, not by what was last said of it. */
export function revocationStanding({ spec, status }: Revocation, now: number): 'holds' | 'ended' | 'refused' {
  if (spec?.until !== undefined && Date.parse(spec.until) <= now) return 'ended'
  const accepted = status?.conditions?.find(({ type }) => type === 'Accepted')
  return accepted?.status === 'False' && accepted.reason !== 'Expired' ? 'refused' : 'holds'
}

/** In a line. */
const what = ({ identities = [], serials = [], trustDomains = [] }: Partial<RevocationSpec> = {}): string =>
  [...identities, ...serials.map(serial => `serial ${serial}`), ...trustDomains.map(domain => `spiffe://${domain}/*`)].join(',')

export const revocation: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'Revocation',
  plural: 'revocations',
  singular: 'revocation',
  shortNames: [],
  categories: ['weft'],
  namespaced: false,
  hasStatus: true,
  description:
    'A Revocation takes back what a certificate says before it ends: of workloads, namespaces, single certificates or other trust domains. Open connections of whom it names are ended on both sides within seconds, new ones are refused, and the control plane gives them no certificate, no join token and no configuration.',
  schema: z.strictObject({
    spec: spec.describe('Who is not believed any more.'),
    status: z
      .strictObject({
        conditions: conditions().optional().describe('Accepted, and PartiallyInvalid where a proxy cannot carry out a part.'),
      })
      .optional()
      .describe('What the control plane makes of it.'),
  }),
  columns: [
    { name: 'Revokes', type: 'string', description: 'Who is not believed', value: r => what((r as Revocation).spec) },
    { name: 'Reason', type: 'string', description: 'Why', value: r => (r as Revocation).spec?.reason },
    { name: 'Until', type: 'string', description: 'When it ends by itself', value: r => (r as Revocation).spec?.until },
    conditionColumn('Accepted'),
    age,
  ],
}
