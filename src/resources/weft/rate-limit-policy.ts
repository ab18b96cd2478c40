/** RateLimitPolicy: how many requests and connections are taken in, by each workload and by all together. */

import { z } from 'zod'
import { durationMs } from '../duration.ts'
import { age, atomicList, duration, headerName, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { policyStatus, policyTargets, targetsColumn } from './route-targets.ts'

const interval = () => duration().default('1s').describe('The interval; they are let in evenly over it.')
const burst = () => z.int32().min(1).optional().describe('How many may come at once after a pause; absent: as many as in an interval.')
const longEnough = rules(function* ({ interval }: { readonly interval: string }) {
  if (durationMs(interval) < 50) yield { path: ['interval'], says: 'must be at least 50ms' }
})
const requests = () => z.int32().min(1).describe('How many requests in each interval.')
const local = () => z.strictObject({ requests: requests(), interval: interval(), burst: burst() }).check(longEnough)

const global = z
  .strictObject({
    requests: requests()
      .optional()
      .describe('How many requests in each interval; absent: the service that Mesh spec.rateLimits names decides.'),
    interval: interval(),
    burst: burst(),
    failOpen: z
      .boolean()
      .default(true)
      .describe('Whether requests go on where the service gives no answer in time; else they are answered 503 rate-limit-unavailable.'),
  })
  .check(longEnough)
const connections = z
  .strictObject({ new: z.int32().min(1).describe('How many new connections in each interval.'), interval: interval(), burst: burst() })
  .check(longEnough)

const keyTypes = ['Identity', 'Header', 'Path', 'Method', 'Host', 'Query', 'Address'] as const
const by = z
  .strictObject({
    type: z
      .enum(keyTypes)
      .describe(
        'Identity: the SPIFFE id that the caller proved. Header, Query: a value as the caller wrote it. Path: without the query. Address: that the connection came from, behind a Gateway that of the client.',
      ),
    header: headerName().optional().describe('Name of the header, for type Header.'),
    query: z.string().min(1).max(256).optional().describe('Name of the query parameter, for type Query.'),
  })
  .check(
    rules(function* ({ type, header, query }) {
      if (type === 'Header' && header === undefined) yield { path: ['header'], says: 'is needed for type Header' }
      if (type !== 'Header' && header !== undefined) yield { path: ['header'], says: `does not go with type ${type}: remove it` }
      if (type === 'Query' && query === undefined) yield { path: ['query'], says: 'is needed for type Query' }
      if (type !== 'Query' && query !== undefined) yield { path: ['query'], says: `does not go with type ${type}: remove it` }
    }),
  )
export type LimitBy = z.infer<typeof by>

/** Why no request has such a value: a limit for it would hold for nobody, without a word. */
function whyNever(type: LimitBy['type'], value: string): string | undefined {
  if (value === '-') return undefined
  if (type === 'Identity' && !/^(spiffe:\/\/[^\s/]+\/\S+|[^\s/]+\/[^\s/]+)$/.test(value))
    return 'must be a SPIFFE id such as spiffe://weft.local/ns/shop/sa/web, NAMESPACE/SERVICEACCOUNT, or "-" for callers without one'
  if (type === 'Path' && (!value.startsWith('/') || value.includes('?'))) return 'must be a path, without its query: it begins with "/"'
  if (type === 'Method' && usualMethods.has(value.toUpperCase()) && value !== value.toUpperCase())
    return `never comes: methods are told apart by case, write ${value.toUpperCase()}`
  return undefined
}
const usualMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'])

const when = z.strictObject({
  type: z.enum(keyTypes).describe('A type of spec.by.'),
  name: z.string().min(1).max(256).optional().describe('Of the header or query parameter, where spec.by has several of the type.'),
  values: atomicList(z.string().min(1).max(256))
    .min(1)
    .max(64)
    .describe('One of these. Of an identity: a SPIFFE id, or NAMESPACE/SERVICEACCOUNT. Of what is not there: "-".'),
})
const override = z
  .strictObject({
    when: atomicList(when).min(1).max(8).describe('Of whom it is told: all of these hold.'),
    local: local().optional().describe('In place of spec.local.'),
    global: z
      .strictObject({ requests: requests(), interval: interval(), burst: burst() })
      .check(longEnough)
      .optional()
      .describe('In place of what spec.global says of requests, interval and burst.'),
  })
  .check(
    rules(function* ({ local, global }) {
      if (local === undefined && global === undefined) yield { path: [], says: 'local or global is needed' }
    }),
  )

/** The place in `by` that a condition is about; -1: there is none. */
export const keyOfWhen = (keys: readonly LimitBy[], { type, name }: z.infer<typeof when>): number =>
  keys.findIndex(
    key =>
      key.type === type &&
      (name === undefined || (type === 'Header' ? key.header?.toLowerCase() === name.toLowerCase() : key.query === name)),
  )

const spec = z
  .strictObject({
    targetRefs: policyTargets('Mesh', 'Namespace', 'Workload', 'Service', 'HTTPRoute', 'GRPCRoute'),
    local: local().optional().describe('The limit that each workload keeps for itself: two workloads let in twice as many.'),
    global: global
      .optional()
      .describe(
        'The limit of all workloads together: each request is asked about at the service that counts for all, which is in the control plane, or the one that Mesh spec.rateLimits names.',
      ),
    connections: connections
      .optional()
      .describe('New connections that each workload takes at a port whose bytes are not looked into. What is too much is closed at once.'),
    by: atomicList(by)
      .min(1)
      .max(6)
      .optional()
      .describe(
        'Each combination of these has the whole limit for itself; absent: all callers share it. Those without an identity or without the header share one. Beyond 10,000 at once (100,000 of a global limit), new ones share one too.',
      ),
    overrides: atomicList(override)
      .min(1)
      .max(32)
      .optional()
      .describe('Other limits for some values of spec.by; the first that fits holds.'),
  })
  .check(
    rules(function* ({ local, global, connections, by = [], overrides = [] }) {
      if (local === undefined && global === undefined && connections === undefined)
        yield { path: [], says: 'local, global or connections is needed' }
      if (by.length > 0 && local === undefined && global === undefined)
        yield { path: ['by'], says: 'is for local and global limits: connections are counted together' }
      const names = by.map(({ type, header, query }) => `${type} ${header?.toLowerCase() ?? query ?? ''}`)
      for (const [at, name] of names.entries())
        if (names.indexOf(name) < at) yield { path: ['by', at], says: 'repeats an earlier entry: remove one' }
      for (const [at, each] of overrides.entries()) {
        for (const [place, condition] of each.when.entries()) {
          if (keyOfWhen(by, condition) < 0)
            yield { path: ['overrides', at, 'when', place], says: 'must be about something that spec.by names: add it there' }
          for (const [index, value] of condition.values.entries()) {
            const why = whyNever(condition.type, value)
            if (why !== undefined) yield { path: ['overrides', at, 'when', place, 'values', index], says: why }
          }
        }
        if (each.local !== undefined && local === undefined)
          yield { path: ['overrides', at, 'local'], says: 'is in place of spec.local, which is not there' }
        if (each.global !== undefined && global?.requests === undefined)
          yield { path: ['overrides', at, 'global'], says: 'is in place of spec.global.requests, which is not there' }
      }
    }),
  )
export type RateLimitPolicySpec = z.infer<typeof spec>
export type RateLimitPolicy = Resource<RateLimitPolicySpec>

export const rateLimitPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'RateLimitPolicy',
  plural: 'ratelimitpolicies',
  singular: 'ratelimitpolicy',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A RateLimitPolicy says how many requests and connections are taken in. The proxy of the called workload keeps the limit: what is too much is answered 429, with Retry-After, and gRPC calls with RESOURCE_EXHAUSTED; connections are closed.',
  schema: z.strictObject({ spec: spec.describe('For what it holds and the limits.'), status: policyStatus() }),
  columns: [
    targetsColumn,
    {
      name: 'Limit',
      type: 'string',
      description: 'How many in which interval',
      value: r => {
        const { local, global, connections } = (r as RateLimitPolicy).spec ?? {}
        return [
          ...(local === undefined ? [] : [`${local.requests}/${local.interval}`]),
          ...(global === undefined ? [] : [`${global.requests ?? '?'}/${global.interval} of all`]),
          ...(connections === undefined ? [] : [`${connections.new} connections/${connections.interval}`]),
        ].join(', ')
      },
    },
    {
      name: 'By',
      type: 'string',
      description: 'Who has a limit of its own',
      value: r => (r as RateLimitPolicy).spec?.by?.map(({ type, header, query }) => header ?? query ?? type).join(','),
    },
    age,
  ],
}
