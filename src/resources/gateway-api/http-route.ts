/** HTTPRoute: which HTTP requests go where, and how they are changed on the way. */

import { z } from 'zod'
import type { Broken, Kind, Resource } from '../kind.ts'
import { age, atomicList, duration, headerName, headerValue, hostname, isLonger, mapList, rules, setList } from '../fields.ts'
import { durationMs } from '../duration.ts'
import type { HTTPFilter } from './filters.ts'
import { httpFilters, httpMethod } from './filters.ts'
import { distinctNames, filteredBackendRef, gatewayGroup, parentRefs, routeStatus, ruleName, useDefaultGateways } from './references.ts'
import { sessionPersistence } from './session.ts'

const absolutePath = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$/

function* cleanPath({ type, value }: { readonly type: string; readonly value: string }): Iterable<Broken> {
  if (type === 'RegularExpression') return
  const path = ['value']
  if (!value.startsWith('/')) return yield { path, says: `must start with "/": write "/${value}"` }
  for (const part of ['//', '/./', '/../', '%2f', '%2F', '#']) if (value.includes(part)) yield { path, says: `must not contain "${part}"` }
  for (const end of ['/..', '/.']) if (value.endsWith(end)) yield { path, says: `must not end with "${end}"` }
  if (!absolutePath.test(value)) yield { path, says: 'has a character that a path may not have: write it percent-encoded' }
}

const pathMatch = z
  .strictObject({
    type: z
      .enum(['Exact', 'PathPrefix', 'RegularExpression'])
      .default('PathPrefix')
      .describe('How the value is compared. PathPrefix compares whole segments: /a matches /a and /a/b, not /ab.'),
    value: z.string().max(1024).default('/').describe('What the path is compared with. A regular expression must match the whole path.'),
  })
  .check(rules(cleanPath))

const compare = z.enum(['Exact', 'RegularExpression']).default('Exact').describe('How the value is compared.')
const rootPath = { type: 'PathPrefix' as const, value: '/' }

const match = z.strictObject({
  path: pathMatch.default(rootPath).describe('The path of the request.'),
  method: httpMethod().optional().describe('The method of the request.'),
  headers: mapList(
    z.strictObject({ type: compare, name: headerName().describe('Name, in any case.'), value: headerValue().describe('Value.') }),
    'name',
  )
    .max(16)
    .optional()
    .describe('Headers that must all match. Of two with one name the first counts.'),
  queryParams: mapList(
    z.strictObject({
      type: compare,
      name: headerName().describe('Name, case-sensitive.'),
      value: z.string().min(1).max(1024).describe('Value.'),
    }),
    'name',
  )
    .max(16)
    .optional()
    .describe('Query parameters that must all match. Of two with one name the first counts.'),
})
export type HTTPMatch = z.infer<typeof match>

const timeouts = z
  .strictObject({
    request: duration().optional().describe('For the whole request with all tries; 0s: no limit.'),
    backendRequest: duration().optional().describe('For one try; 0s: no limit.'),
  })
  .check(
    rules(function* ({ request, backendRequest }) {
      if (request !== undefined && durationMs(request) > 0 && isLonger(backendRequest, request))
        yield { path: ['backendRequest'], says: `must not be longer than request (${request})` }
    }),
  )

const retry = z.strictObject({
  codes: setList(z.int().min(400).max(599))
    .optional()
    .describe(
      'Status codes after which another try is made, whatever the method. With 502 also after a connection broke, with 504 after a try ran out of time; for methods that may be repeated both are done anyway. Of gRPC calls 429, 499, 500, 503 and 504 mean RESOURCE_EXHAUSTED, CANCELLED, INTERNAL, UNAVAILABLE and DEADLINE_EXCEEDED.',
    ),
  attempts: z
    .int()
    .min(0)
    .max(100)
    .optional()
    .describe('How many further tries at most; 0: none, whatever is said for more, but for what the mesh always tries again. Absent: 1.'),
  backoff: duration()
    .optional()
    .describe(
      'The least pause between tries; it grows up to ten times as long, by chance. Absent: 25ms. Retry-After of an answer is kept, up to 10s.',
    ),
})

const rule = z
  .strictObject({
    name: ruleName(),
    matches: atomicList(match)
      .max(64)
      .default([{ path: rootPath }])
      .describe('The rule applies to a request that any of these matches.'),
    filters: httpFilters().optional().describe('What is done to requests and answers.'),
    backendRefs: atomicList(
      filteredBackendRef(httpFilters().optional().describe('What is done to requests and answers of this backend only.')),
    )
      .max(16)
      .optional()
      .describe('Where requests go, by weight. Without any, and without a redirect, the answer is 500.'),
    timeouts: timeouts.optional().describe('How long a request may take.'),
    retry: retry
      .optional()
      .describe(
        'When a request is tried again, at another endpoint if there is one. A BackendPolicy bounds how many such tries there are (retryConstraint).',
      ),
    sessionPersistence: sessionPersistence.optional().describe('Whether a client keeps its endpoint, as long as that serves.'),
  })
  .check(rules(redirectAlone, prefixNeedsPrefix))
export type HTTPRule = z.infer<typeof rule>

type RuleShape = {
  readonly matches: readonly HTTPMatch[]
  readonly filters?: readonly HTTPFilter[] | undefined
  readonly backendRefs?: readonly { readonly filters?: readonly HTTPFilter[] | undefined }[] | undefined
}

function* redirectAlone({ filters = [], backendRefs = [] }: RuleShape): Iterable<Broken> {
  const at = filters.findIndex(filter => filter.requestRedirect !== undefined)
  if (at >= 0 && backendRefs.length > 0)
    yield { path: ['filters', at], says: 'RequestRedirect cannot be used together with backendRefs: a redirect is answered, not forwarded' }
}

function* prefixNeedsPrefix({ matches, filters = [], backendRefs = [] }: RuleShape): Iterable<Broken> {
  if (matches.length === 1 && matches[0]!.path.type === 'PathPrefix') return
  const lists = [
    { path: ['filters'], list: filters },
    ...backendRefs.map((ref, at) => ({ path: ['backendRefs', at, 'filters'], list: ref.filters ?? [] })),
  ]
  for (const { path, list } of lists)
    for (const [at, filter] of list.entries())
      for (const field of ['requestRedirect', 'urlRewrite'] as const)
        if (filter[field]?.path?.replacePrefixMatch !== undefined)
          yield {
            path: [...path, at, field, 'path', 'replacePrefixMatch'],
            says: 'needs a rule with exactly one match, of type PathPrefix',
          }
}

function* fewMatches(list: readonly { readonly matches: readonly unknown[] }[]): Iterable<Broken> {
  const total = list.reduce((sum, each) => sum + each.matches.length, 0)
  if (total > 128) yield { path: [], says: `has ${total} matches in all; at most 128 are allowed: split the route` }
}

const spec = z.strictObject({
  parentRefs: parentRefs().optional().describe('What the route attaches to: Services of the mesh, or Gateways.'),
  hostnames: atomicList(hostname())
    .max(16)
    .optional()
    .describe('Hosts for which it holds, on Gateways. Routes of a Service hold for every host.'),
  useDefaultGateways: useDefaultGateways(),
  rules: atomicList(rule)
    .min(1)
    .max(16)
    .default([{ matches: [{ path: rootPath }] }])
    .check(rules<readonly HTTPRule[]>(fewMatches, distinctNames))
    .describe('What is done with which requests. The most specific match wins, whatever the order.'),
})
export type HTTPRouteSpec = z.infer<typeof spec>
export type HTTPRoute = Resource<HTTPRouteSpec>

export const hostnamesColumn = {
  name: 'Hostnames',
  type: 'string' as const,
  description: 'Hosts for which it holds',
  value: (resource: Resource) => {
    const hosts = (resource.spec as { hostnames?: readonly string[] } | undefined)?.hostnames
    return hosts && JSON.stringify(hosts)
  },
}

export const httpRoute: Kind = {
  group: gatewayGroup,
  version: 'v1',
  alsoVersions: ['v1beta1'],
  kind: 'HTTPRoute',
  plural: 'httproutes',
  singular: 'httproute',
  shortNames: [],
  categories: ['gateway-api'],
  namespaced: true,
  hasStatus: true,
  description:
    'An HTTPRoute says which HTTP requests to its parents go where, by path, method, headers and query, with weights, and how they are changed on the way. With a Service as parent it routes traffic inside the mesh, with a Gateway what comes from outside. A rule that asks for what is not carried out answers 500, and the status names the field. The annotation weft.dev/from makes it hold for some clients only, such as service=checkout.',
  schema: z.strictObject({ spec: spec.describe('The parents and the rules.'), status: routeStatus() }),
  columns: [hostnamesColumn, age],
}
