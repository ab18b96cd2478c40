/** The file of `weft policy test`: what is expected of documents, told with line and field where it is wrong. */

import { z } from 'zod'
import { failures } from '#base/failure'
import type { Place } from '#base/note'
import { dnsLabel, idTemplate, portNumber, stringMap } from './fields.ts'
import { placeAt } from './read/places.ts'
import { checkSettings, parseSettings } from './settings-file.ts'

const port = z.strictObject({
  port: portNumber().describe('Where the program listens.'),
  name: dnsLabel().optional().describe('Name, to which targetPort of a Service may refer.'),
  protocol: z
    .enum(['http', 'http2', 'grpc', 'tcp', 'tls', 'udp', 'detect'])
    .optional()
    .describe('What is spoken; a Service may say it too.'),
})
const workload = z.strictObject({
  service: dnsLabel().describe('The service that it belongs to.'),
  namespace: dnsLabel().optional().describe('Its namespace; absent: that of the file.'),
  serviceAccount: dnsLabel().optional().describe('Names its identity; absent: as the service.'),
  labels: stringMap().optional().describe('Labels by which policies and Services select it.'),
  ports: z.array(port).max(64).optional().describe('Where it can be called.'),
})

const text = () => z.string().min(1).max(4096)
const verdicts: ReadonlySet<string> = new Set(['Allow', 'Deny', 'Audit', 'Mixed', 'Answer', ...Object.keys(failures)])
const verdict = z
  .string()
  .refine(said => verdicts.has(said), {
    message: 'must be Allow, Deny, Audit, Mixed, Answer, or the code of a failure of the mesh, such as no-route',
  })
  .describe(
    'Allow, Deny, Audit (let in, and counted as what would be denied), Mixed (some endpoints let it in), Answer (the mesh answers, such as by a redirect), or a failure code.',
  )

const expectation = z.strictObject({
  name: text().optional().describe('For the report; absent: what is asked.'),
  from: text().describe('Who calls: a service or a workload, with .NAMESPACE where that is another; gateway/NAME; a SPIFFE id.'),
  to: text().describe('Who is called, as a program says it: NAME, NAME:PORT, NAME:PORT/udp or a URL.'),
  request: z
    .string()
    .max(8192)
    .regex(/^([A-Z]+ )?\/\S*$|^[A-Z]+$/, { message: 'must be METHOD /path, such as GET /items?page=2' })
    .optional()
    .describe('METHOD /path; absent: GET /.'),
  headers: stringMap().optional().describe('Headers of the request.'),
  address: text().optional().describe('From which address it comes, for rules with ipBlocks.'),
  at: text().optional().describe('When, RFC 3339, for rules with times; absent: when the test runs.'),
  then: verdict,
  by: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(\/[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?(\/\d+)?$/, {
      message: 'must be POLICY, POLICY/RULE, NAMESPACE/POLICY or NAMESPACE/POLICY/RULE, rules counted from 0',
    })
    .optional()
    .describe('The AccessPolicy that decides: POLICY, POLICY/RULE, NAMESPACE/POLICY or NAMESPACE/POLICY/RULE; rules are counted from 0.'),
  route: text().optional().describe('The route that it takes: NAME, NAMESPACE/NAME or KIND/NAMESPACE/NAME.'),
  backend: text().optional().describe('A Service to which it leads, with .NAMESPACE where that is another.'),
})

const schema = z.strictObject({
  documents: z
    .array(text())
    .max(256)
    .optional()
    .describe('Files and folders of documents, beside this file; * stands for a part of a name.'),
  namespace: dnsLabel().optional().describe('Of what names none; absent: default.'),
  trustDomain: z
    .string()
    .regex(/^[a-z0-9._-]{1,255}$/, { message: 'must be a trust domain' })
    .optional()
    .describe('Of identities; absent: weft.local.'),
  spiffeIDTemplate: idTemplate().optional().describe('Of identities of the trust domain; absent: /ns/{namespace}/sa/{serviceAccount}.'),
  workloads: z.array(workload).max(1_000).optional().describe('Who runs, beside the Workloads of the documents and what Services select.'),
  expect: z.array(expectation).min(1).max(10_000).describe('What is expected.'),
})
export type PolicyTest = z.infer<typeof schema>
export type Expectation = PolicyTest['expect'][number]

/** placeOf: where the expectation of this number stands. Throws BadInput with every problem. */
export function readPolicyTest(source: string, file: string): { readonly test: PolicyTest; readonly placeOf: (at: number) => Place } {
  const settings = parseSettings(source, file)
  const { document, lines } = settings
  return { test: checkSettings(settings, schema), placeOf: at => placeAt(document, lines, file, ['expect', at], false) }
}
