/** Registration: which identity is given to whom who proves what he is, without a join token. */

import { z } from 'zod'
import { age, conditionColumn, conditions, dnsLabel, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'

const number = () => z.int().min(0).max(4_294_967_295)
const path = () => z.string().regex(/^\/[^\0]{0,4095}$/, { message: 'must be an absolute path such as /usr/bin/web' })

const process = z
  .strictObject({
    uid: number().optional().describe('The user who runs it, by number.'),
    gid: number().optional().describe('The group that it runs as, by number.'),
    path: path()
      .optional()
      .describe(
        'The file of its program, not a link to it. Does not fit a process with mounts of its own, such as one in a container, nor a program that was replaced since it started.',
      ),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/, { message: 'must be 64 hexadecimal digits in lower case, as sha256sum writes them' })
      .optional()
      .describe('SHA-256 of the program that runs, wherever its file is. Of a script it is that of the interpreter.'),
    parent: path().optional().describe('The file of the program that started it.'),
    cgroup: path().optional().describe('Its control group (cgroup v2) or one above it, such as /system.slice/web.service.'),
  })
  .check(
    rules(function* (said) {
      if (Object.keys(said).length === 0) yield { path: [], says: 'says nothing: every process would fit; name at least the uid' }
      const who = [said.uid, said.gid, said.path, said.sha256, said.cgroup]
      if (said.parent !== undefined && who.every(each => each === undefined))
        yield { path: ['parent'], says: 'is not enough alone: whoever started it can start anything; name the uid or the path too' }
    }),
  )

const spec = z
  .strictObject({
    serviceAccount: dnsLabel().describe(
      'The service account that it is, in the namespace of this Registration; usually the name of its service.',
    ),
    process: process
      .optional()
      .describe(
        'A process of the machine of the control plane, which asks at its socket (weft control --attest-socket). All that is said must fit.',
      ),
    certificate: z
      .strictObject({
        spiffeId: z
          .string()
          .max(2048)
          .regex(/^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)+$/, { message: 'must be a SPIFFE id such as spiffe://example.org/web' })
          .describe('The SPIFFE id in a valid certificate of an authority that the control plane takes (weft control --attest-roots).'),
      })
      .optional()
      .describe('Whoever has the key of this certificate of another source.'),
  })
  .check(
    rules(function* ({ process, certificate }) {
      if ((process === undefined) === (certificate === undefined))
        yield { path: [], says: 'exactly one of process and certificate is needed' }
    }),
  )
export type RegistrationSpec = z.infer<typeof spec>
const status = z.strictObject({
  conditions: conditions().optional().describe('Accepted: this control plane attests in the way that it asks for.'),
})
export type Registration = Resource<RegistrationSpec, z.infer<typeof status>>

export const registration: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'Registration',
  plural: 'registrations',
  singular: 'registration',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A Registration gives an identity of its namespace to whoever proves what it names: a process that the kernel knows by its user and program, or the key of a certificate of another authority. Several may fit one process, which may then choose.',
  schema: z.strictObject({
    spec: spec.describe('Who gets which identity.'),
    status: status.optional().describe('What the control plane makes of it.'),
  }),
  columns: [
    { name: 'Service-Account', type: 'string', description: 'The identity', value: r => (r as Registration).spec?.serviceAccount },
    {
      name: 'By',
      type: 'string',
      description: 'What has to be proved',
      value: r => {
        const { process, certificate } = (r as Registration).spec ?? {}
        return (
          certificate?.spiffeId ??
          Object.entries(process ?? {})
            .map(([name, value]) => `${name}=${String(value)}`)
            .join(',')
        )
      },
    },
    conditionColumn('Accepted'),
    age,
  ],
}
