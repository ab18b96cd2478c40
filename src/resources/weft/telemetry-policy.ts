/** TelemetryPolicy: what proxies tell of each request and connection, in their access log and in traces. */

import { z } from 'zod'
import { durationMs } from '../duration.ts'
import { age, atomicList, duration, headerName, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { logFields, logPathProblem, logTemplateProblem } from '#base/log-fields'
import { onePart, type Part, partOf, policyStatus, policyTargets, targetsColumn } from './route-targets.ts'

const sampling = (what: string) =>
  z
    .strictObject(partOf)
    .check(
      rules<Part>(onePart, function* (part) {
        if (Object.keys(part).length === 0) yield { path: [], says: 'give percent or fraction' }
      }),
    )
    .optional()
    .describe(what)

const destination = z
  .strictObject({
    type: z
      .enum(['Stdout', 'File', 'OTLP'])
      .describe(
        "Stdout: the proxy's own standard output. File: a file on the machine of the proxy. OTLP: a collector of OpenTelemetry, by gRPC; of JSON each field is an attribute, of Text the line is the body.",
      ),
    endpoint: z
      .string()
      .max(2048)
      .regex(/^https?:\/\/[^\s/?#@]+\/?$/, { message: 'must be a URL such as http://collector:4317, without a path' })
      .refine(url => URL.canParse(url), { message: 'is no URL' })
      .optional()
      .describe('Of OTLP: where the collector listens for gRPC.'),
    path: z
      .string()
      .max(1024)
      .optional()
      .describe(
        'The file, which must end in .log, .jsonl or .ndjson. It is made where it is missing, appended to, and opened anew when it was moved away.',
      ),
  })
  .check(
    rules(function* ({ type, path, endpoint }) {
      if (type === 'OTLP' && endpoint === undefined) yield { path: ['endpoint'], says: 'is needed for type OTLP' }
      if (type !== 'OTLP' && endpoint !== undefined) yield { path: ['endpoint'], says: `does not go with type ${type}: remove it` }
      const wrong = path === undefined ? undefined : logPathProblem(path)
      if (wrong !== undefined) yield { path: ['path'], says: wrong }
      if (type === 'File' && path === undefined) yield { path: ['path'], says: 'is needed for type File' }
      if (type !== 'File' && path !== undefined) yield { path: ['path'], says: `does not go with type ${type}: remove it` }
    }),
  )

const format = z
  .strictObject({
    type: z.enum(['JSON', 'Text']).describe('JSON: an object for each line. Text: the template.'),
    fields: atomicList(z.enum(logFields))
      .min(1)
      .optional()
      .describe('Of JSON: which fields, in this order; absent: all. What a request or connection has not is left out.'),
    template: z
      .string()
      .min(1)
      .max(2048)
      .optional()
      .describe('Of Text: a line, in which {FIELD} stands for a field, and {{ for {. What there is not is written as "-".'),
  })
  .check(
    rules(function* ({ type, fields = [], template }) {
      if (type === 'Text' && fields.length > 0) yield { path: ['fields'], says: 'does not go with type Text: name them in template' }
      if (type === 'JSON' && template !== undefined) yield { path: ['template'], says: 'does not go with type JSON: give fields' }
      for (const [at, field] of fields.entries())
        if (fields.indexOf(field) < at) yield { path: ['fields', at], says: `"${field}" stands there already: remove one` }
      const wrong = template === undefined ? undefined : logTemplateProblem(template)
      if (wrong !== undefined) yield { path: ['template'], says: wrong }
    }),
  )

const condition = z
  .strictObject({
    statusAtLeast: z.int32().min(100).max(599).optional().describe('Status of HTTP from here on, such as 500.'),
    statuses: atomicList(z.int32().min(100).max(599)).min(1).max(32).optional().describe('Status of HTTP: one of these.'),
    outcome: z
      .enum(['Failed', 'Denied'])
      .optional()
      .describe(
        'Failed: status of 500 and more, or the proxy could not do what was asked, which the field reason tells. Denied: an AccessPolicy, an EgressPolicy, a token, a login, a missing identity or an authorization service kept it out.',
      ),
    slowerThan: duration().optional().describe('It took so long or longer, as a whole.'),
  })
  .check(
    rules(function* (one) {
      if (Object.keys(one).length === 0) yield { path: [], says: 'must say something' }
      if (one.slowerThan !== undefined && durationMs(one.slowerThan) === 0) yield { path: ['slowerThan'], says: 'must be longer than 0' }
    }),
  )

const accessLog = z
  .strictObject({
    mode: z
      .enum(['Enabled', 'Disabled'])
      .optional()
      .describe('Whether there is one. Absent here and in all wider policies: Enabled, where any of them says something of accessLog.'),
    destination: destination.optional().describe('Where it goes; absent: Stdout.'),
    format: format.optional().describe('How a line looks; absent: JSON with all fields.'),
    sampling: sampling('Of how many of those that fit `when` a line is written; absent: of all.'),
    when: atomicList(condition)
      .min(1)
      .max(16)
      .optional()
      .describe('Only requests and connections that fit one of these; absent: all. Of one entry all must hold.'),
  })
  .check(
    rules(function* (said) {
      if (Object.values(said).every(each => each === undefined)) yield { path: [], says: 'must set something, such as mode: Enabled' }
    }),
  )

const exporter = z.strictObject({
  otlp: z
    .strictObject({
      endpoint: z
        .string()
        .max(2048)
        .regex(/^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/, { message: 'must be a URL such as http://collector:4318, without a user, ? and #' })
        .refine(url => URL.canParse(url), { message: 'is no URL' })
        .describe('Where the collector listens for OTLP over HTTP. Without a path: /v1/traces.'),
      protocol: z
        .enum(['HTTPProtobuf', 'HTTPJSON'])
        .default('HTTPProtobuf')
        .describe('How spans are written (OTLP 1, "OTLP/HTTP"). Envoy writes HTTPProtobuf only.'),
    })
    .describe('By the protocol of OpenTelemetry.'),
})

const attribute = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,254}$/, { message: 'must be a name such as deployment.ring' })
      .describe('Name of the attribute of the span.'),
    value: z.string().min(1).max(1024).optional().describe('The same for all spans.'),
    header: headerName().optional().describe('What this header of the request says.'),
    default: z.string().max(1024).optional().describe('For requests without the header; absent: then they have no such attribute.'),
  })
  .check(
    rules(function* ({ value, header, default: otherwise }) {
      if ((value === undefined) === (header === undefined)) yield { path: [], says: 'give exactly one of value and header' }
      if (otherwise !== undefined && header === undefined) yield { path: ['default'], says: 'goes with header only' }
      if (header !== undefined && secretHeaders.has(header.toLowerCase()))
        yield { path: ['header'], says: `${header} holds secrets, which must not be written to traces` }
    }),
  )
const secretHeaders: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie'])

const tracing = z
  .strictObject({
    mode: z
      .enum(['Enabled', 'Disabled'])
      .optional()
      .describe('Whether spans are made. Absent here and in all wider policies: Enabled, where one of them names an exporter.'),
    exporter: exporter.optional().describe('Where spans go.'),
    sampling: sampling(
      'Of how many requests that come without a decision of their own spans are made; absent: of all. A request that comes with one keeps it.',
    ),
    propagation: atomicList(z.enum(['W3C', 'B3']))
      .min(1)
      .max(2)
      .check(
        rules(function* (list: readonly string[]) {
          if (new Set(list).size < list.length) yield { path: [1], says: 'repeats the first: remove one' }
        }),
      )
      .optional()
      .describe(
        'How the context is read from requests and passed on: W3C (traceparent, tracestate), B3 (b3, x-b3-*). All are passed on, the first that is there is believed; absent: W3C.',
      ),
    customAttributes: atomicList(attribute).max(32).optional().describe('What else each span of the proxy says.'),
  })
  .check(
    rules(function* (said) {
      if (Object.values(said).every(each => each === undefined)) yield { path: [], says: 'must set something, such as mode: Enabled' }
      for (const [at, { name }] of (said.customAttributes ?? []).entries())
        if (said.customAttributes!.findIndex(other => other.name === name) < at)
          yield { path: ['customAttributes', at, 'name'], says: `"${name}" stands in an earlier entry: remove one` }
    }),
  )

const spec = z
  .strictObject({
    targetRefs: policyTargets('Mesh', 'Namespace', 'Workload'),
    accessLog: accessLog
      .optional()
      .describe('A line for each request and each connection, written when it is over. Absent everywhere: none.'),
    tracing: tracing.optional().describe('Spans of the requests that pass. Absent everywhere: none.'),
  })
  .check(
    rules(function* ({ accessLog: log, tracing: spans }) {
      if (log === undefined && spans === undefined) yield { path: [], says: 'give accessLog, tracing or both' }
    }),
  )
export type TelemetryPolicySpec = z.infer<typeof spec>
export type TelemetryPolicy = Resource<TelemetryPolicySpec>

const what = ({ accessLog: log, tracing: spans }: Partial<TelemetryPolicySpec> = {}): string =>
  [
    ...(log === undefined ? [] : [log.mode === 'Disabled' ? 'no access log' : 'access log']),
    ...(spans === undefined ? [] : [spans.mode === 'Disabled' ? 'no tracing' : 'tracing']),
  ].join(', ')

export const telemetryPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'TelemetryPolicy',
  plural: 'telemetrypolicies',
  singular: 'telemetrypolicy',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A TelemetryPolicy says what proxies tell of the requests and connections that pass: in an access log and in traces, for the mesh, a namespace or workloads of it. Each of its fields is merged by itself, the narrower policy first. It is changed at run time; nothing is restarted.',
  schema: z.strictObject({ spec: spec.describe('For what it holds and what is told.'), status: policyStatus() }),
  columns: [
    targetsColumn,
    { name: 'Tells', type: 'string', description: 'What it is about', value: r => what((r as TelemetryPolicy).spec) },
    age,
  ],
}
