/** RouteFilter: what the rules of routes can do beyond the filters of Gateway API; rules name it by ExtensionRef. */

import { z } from 'zod'
import { age, conditionColumn, conditions, duration, headerName, headerValue, mapList, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'

const header = z.strictObject({ name: headerName().describe('Name, in any case.'), value: headerValue().describe('Value.') })

/** RFC 9110 §6.4.1: these have no body. */
const bodiless = new Set([204, 205, 304])

const directResponse = z
  .strictObject({
    status: z
      .int()
      .min(200)
      .max(599)
      .describe('Status of the answer. A gRPC call gets the status that clients make of it, and the body as its message.'),
    body: z.string().max(65_536).optional().describe('Body of the answer, as it stands.'),
    contentType: headerValue().optional().describe('Type of the body; absent: text/plain; charset=utf-8.'),
    headers: mapList(header, 'name').max(16).optional().describe('More headers of the answer.'),
    retryAfter: duration().optional().describe('When callers should come again: Retry-After, in whole seconds (RFC 9110 §10.2.3).'),
  })
  .check(
    rules(function* ({ status, body, headers = [] }) {
      if (body !== undefined && body !== '' && bodiless.has(status))
        yield { path: ['body'], says: `does not go with status ${status}, which has no body` }
      for (const [at, { name }] of headers.entries())
        if (['content-type', 'retry-after', 'content-length', 'transfer-encoding', 'connection'].includes(name.toLowerCase()))
          yield { path: ['headers', at, 'name'], says: `${name} is written by the proxy: use contentType or retryAfter, or leave it out` }
    }),
  )

const replace = z.strictObject({
  pattern: z
    .string()
    .min(1)
    .max(1024)
    .describe('Regular expression in the syntax of RE2. It need not match the whole path: each place that matches is replaced.'),
  substitution: z
    .string()
    .max(1024)
    .describe('What stands in place of what matched: \\1 to \\9 are its groups, \\0 all of it, \\\\ a backslash.'),
})

const rewrite = z
  .strictObject({
    pathRegex: replace.optional().describe('Changes the path, without the query, by a regular expression.'),
    hostFromPath: replace
      .optional()
      .describe('Sets the host to what the regular expression makes of the path, without the query, as the caller sent it.'),
    hostFromHeader: headerName()
      .optional()
      .describe('Sets the host to the value of this header of the request; without it the host stays.'),
  })
  .check(
    rules(function* (asked) {
      if (Object.keys(asked).length === 0) yield { path: [], says: 'give pathRegex, hostFromPath or hostFromHeader' }
      if (asked.hostFromPath !== undefined && asked.hostFromHeader !== undefined)
        yield { path: ['hostFromHeader'], says: 'the host is set by hostFromPath already: remove one' }
    }),
  )

const spec = z
  .strictObject({
    directResponse: directResponse.optional().describe('The answer, in place of any backend. The rule has no backendRefs then.'),
    rewrite: rewrite.optional().describe('Changes path and host on the way to the backend.'),
  })
  .check(
    rules(function* ({ directResponse: answer, rewrite: change }) {
      if ((answer === undefined) === (change === undefined)) yield { path: [], says: 'give exactly one of directResponse and rewrite' }
    }),
  )
export type RouteFilterSpec = z.infer<typeof spec>
export type RouteFilter = Resource<RouteFilterSpec>

export const routeFilter: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'RouteFilter',
  plural: 'routefilters',
  singular: 'routefilter',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A RouteFilter is used by rules of HTTPRoutes and GRPCRoutes of its namespace, as a filter of type ExtensionRef (group weft.dev, kind RouteFilter). It answers requests itself, or rewrites path and host by regular expressions. A rule that names one which does not exist, or which cannot be carried out, answers 500.',
  schema: z.strictObject({
    spec: spec.describe('What is done.'),
    status: z
      .strictObject({ conditions: conditions().optional().describe('Accepted.') })
      .optional()
      .describe('What the control plane makes of it.'),
  }),
  columns: [
    {
      name: 'Does',
      type: 'string',
      description: 'What is done',
      value: resource => {
        const { directResponse: answer, rewrite: change } = (resource as RouteFilter).spec ?? {}
        return answer !== undefined ? `answers ${answer.status}` : change && Object.keys(change).join(', ')
      },
    },
    conditionColumn('Accepted'),
    age,
  ],
}
