/** CertificateIssuer: an ACME server that gives the certificates of Gateway listeners. */

import { z } from 'zod'
import { age, atomicList, conditionColumn, conditions, objectName, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'

/** On a Gateway or a ListenerSet: the CertificateIssuer in its namespace that fills its Secrets. On a Secret: the one that filled it. */
export const issuerAnnotation = 'weft.dev/certificate-issuer'

const spec = z
  .strictObject({
    server: z
      .string()
      .max(2048)
      .regex(/^https:\/\/[^\s/?#@]+\/[^\s#]*$/, { message: "must be the https:// address of the server's ACME directory" })
      .describe(
        "Its directory (RFC 8555 §7.1.1), such as https://acme-v02.api.letsencrypt.org/directory, or a step-ca's /acme/NAME/directory.",
      ),
    certificateAuthorities: z
      .string()
      .max(65_536)
      .regex(/-----BEGIN CERTIFICATE-----/, { message: 'must be certificates in PEM' })
      .optional()
      .describe('Who signs the certificate of the server, PEM. Absent: whom the machine of the control plane trusts.'),
    email: z
      .string()
      .max(254)
      .regex(/^[^\s@,?]+@[^\s@,?]+$/, { message: 'must be an address such as ops@example.com' })
      .optional()
      .describe('Whom the server writes to about the account.'),
    agreesToTerms: z.boolean().default(false).describe('Whether you agree to its terms of service; needed where it has some.'),
    externalAccount: z
      .strictObject({
        keyId: z.string().min(1).max(1024).describe('The identifier that it gave you.'),
        keyRef: z
          .strictObject({
            name: objectName().describe('Name of a Secret in the same namespace.'),
            key: z
              .string()
              .min(1)
              .max(253)
              .default('hmac-key')
              .describe('The entry that holds the key, in base64url as it was given to you.'),
          })
          .describe('The HMAC key that it gave you with it.'),
      })
      .optional()
      .describe('Your account there, where the server wants the new one bound to it (RFC 8555 §7.3.4).'),
  })
  .check(
    rules(function* ({ server }) {
      if (!URL.canParse(server)) yield { path: ['server'], says: 'is not a URL' }
    }),
  )
export type CertificateIssuerSpec = z.infer<typeof spec>

const certificate = z.strictObject({
  secret: objectName().describe('Name of the Secret.'),
  names: atomicList(z.string().max(253)).max(64).describe('Hosts that it is for.'),
  notAfter: z.string().meta({ format: 'date-time' }).optional().describe('When the one in use ends.'),
  renewsAt: z.string().meta({ format: 'date-time' }).optional().describe('When the next one is asked for: at two thirds of its life.'),
  dangerFrom: z
    .string()
    .meta({ format: 'date-time' })
    .optional()
    .describe('From when on it is dangerous that there is no other: half of the time for renewal is over, or a week is left.'),
  problem: z.string().max(4096).optional().describe('Why the last try gave none, in the words of the server, and what to do.'),
  triesAt: z.string().meta({ format: 'date-time' }).optional().describe('When it is tried again.'),
})

const status = z.strictObject({
  conditions: conditions().optional().describe('Accepted: Gateways name it. Issued: all certificates are had.'),
  certificates: atomicList(certificate).max(256).optional().describe('What Gateways of the namespace want of it.'),
})
export type CertificateIssuerStatus = z.infer<typeof status>
export type CertificateIssuer = Resource<CertificateIssuerSpec, CertificateIssuerStatus>

export const certificateIssuer: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'CertificateIssuer',
  plural: 'certificateissuers',
  singular: 'certificateissuer',
  shortNames: ['ci'],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description: `A CertificateIssuer is an ACME server (RFC 8555), such as Let's Encrypt or step-ca. A Gateway that names it by the annotation ${issuerAnnotation} gets the Secrets to which its HTTPS and TLS listeners refer and which do not exist: the control plane orders a certificate for the hostnames of the listeners, proves by http-01 through port 80 of the Gateway that they are yours, writes the Secret, and renews it.`,
  schema: z.strictObject({
    spec: spec.describe('The server, and the account there.'),
    status: status.optional().describe('What became of the orders.'),
  }),
  columns: [
    { name: 'Server', type: 'string', description: 'Its directory', value: r => (r as CertificateIssuer).spec?.server },
    conditionColumn('Accepted'),
    conditionColumn('Issued'),
    age,
  ],
}
