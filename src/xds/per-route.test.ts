import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromJson, type JsonValue, toBinary, toJson } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { usualCompressible } from '#model/compression'
import type { Fault } from '#model/fault'
import type { Quota, RateLimit } from '#model/rate-limit'
import type { Cors, Mirror, Route } from '#model/route'
import { emptyView } from '#model/view'
import { decodeResource } from './decode.ts'
import { encodeView } from './encode.ts'
import { encodeRouteTable } from './encode/route.ts'
import { registry } from './file/registry.ts'
import { RouteConfigurationSchema } from './gen/envoy/config/route/v3/route_pb.ts'
import { typeUrls } from './types.ts'

const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const bare = <T extends object>(value: T): T => Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as T
const share = fc.integer({ min: 0, max: 1_000_000 })
const words = fc.array(word, { maxLength: 3 })

const mirrors: fc.Arbitrary<Mirror[]> = fc.array(fc.record({ backend: word, share }), { minLength: 1, maxLength: 3 })
const cors: fc.Arbitrary<Cors> = fc.record({
  origins: fc.array(
    fc.oneof(
      fc.record({ type: fc.constant('exact' as const), value: fc.constantFrom('*', 'https://a.test') }),
      fc.record({ type: fc.constant('regex' as const), value: fc.constant('https://[^:/]+\\.a\\.test') }),
    ),
    { maxLength: 2 },
  ),
  credentials: fc.boolean(),
  methods: words,
  headers: words,
  expose: words,
  maxAgeS: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
})
const bps = fc.integer({ min: 1, max: 2 ** 31 - 1 })
const ms = fc.integer({ min: 1, max: 3_600_000 })
const fault: fc.Arbitrary<Fault> = fc
  .record({
    policy: word,
    endsAt: optional(fc.nat(2 ** 42)),
    delay: optional(
      fc
        .record({ ms, jitterMs: optional(ms), spread: optional(fc.constantFrom('normal', 'exponential', 'pareto')), share })
        .map(({ spread, ...delay }) => bare(delay.jitterMs === undefined ? delay : { ...delay, spread })),
    ),
    bandwidth: optional(
      fc.oneof(
        fc.record({ share, answersBps: fc.nat(2 ** 20).map(kilobytes => (kilobytes + 1) * 1024) }),
        fc.record({ share, requestsBps: bps, answersBps: optional(bps) }).map(bare),
        fc.record({ share, answersBps: bps }),
      ),
    ),
    abort: optional(
      fc.oneof(
        fc.record({ type: fc.constant('http' as const), status: fc.integer({ min: 400, max: 599 }), share }),
        fc.record({ type: fc.constant('grpc' as const), status: fc.integer({ min: 1, max: 16 }), share }),
        fc.record({ type: fc.constant('reset' as const), share }),
      ),
    ),
  })
  .map(bare) as fc.Arbitrary<Fault>
const coding = fc.constantFrom('gzip', 'br', 'zstd')
const compressible = fc.oneof(
  fc.constant(usualCompressible),
  fc.record({ minBytes: bps, types: fc.array(fc.constantFrom('text/plain', 'text/css'), { minLength: 1, maxLength: 2 }) }),
)
const compression = fc
  .record({
    answers: optional(fc.tuple(fc.uniqueArray(coding, { minLength: 1 }), compressible).map(([codings, more]) => ({ codings, ...more }))),
    requests: optional(fc.tuple(coding, compressible).map(([one, more]) => ({ coding: one, ...more }))),
    takesCoded: optional(fc.record({ maxBytes: bps })),
  })
  .map(bare)
const sizes = fc
  .record({ bodyBytes: optional(fc.integer({ min: 1, max: 2 ** 40 })), headerCount: optional(bps), headerBytes: optional(bps) })
  .filter(each => Object.values(each).some(value => value !== undefined))
  .map(bare)
const count = fc.integer({ min: 1, max: 2 ** 31 - 1 })
const key = fc.oneof(
  fc.record({ type: fc.constantFrom('identity' as const, 'method' as const, 'path' as const, 'host' as const, 'address' as const) }),
  fc.record({ type: fc.constantFrom('header' as const, 'query' as const), name: word }),
)
const rateLimit = fc
  .record({
    name: word,
    requests: count,
    intervalMs: ms,
    burst: count,
    by: optional(fc.array(key, { minLength: 1, maxLength: 3 })),
    overrides: optional(
      fc.array(
        fc.record({
          requests: count,
          intervalMs: ms,
          burst: count,
          when: fc.array(fc.record({ key: fc.nat(2), values: fc.array(word, { minLength: 1, maxLength: 2 }) }), {
            minLength: 1,
            maxLength: 2,
          }),
        }),
        { minLength: 1, maxLength: 2 },
      ),
    ),
  })
  .map(({ overrides, ...limit }) => (limit.by === undefined ? bare(limit) : bare({ ...limit, overrides }))) as fc.Arbitrary<RateLimit>
const entry = fc.oneof(
  fc.record({ key: word, type: fc.constant('constant' as const), value: word }),
  fc.record({ key: word, type: fc.constantFrom('path' as const, 'method' as const, 'host' as const) }),
  fc.record({ key: fc.constantFrom('remote_address', 'client'), type: fc.constant('address' as const) }),
  fc.record({ key: word, type: fc.constant('identity' as const), absent: optional(fc.constant('-')) }).map(bare),
  fc.record({ key: word, type: fc.constantFrom('header' as const, 'query' as const), name: word, absent: optional(word) }).map(bare),
)
const quota = fc
  .record({
    name: word,
    failsOpen: fc.boolean(),
    descriptors: fc.array(fc.array(entry, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 2 }),
    rate: optional(fc.record({ requests: count, intervalMs: ms, burst: count })),
  })
  // As the compiler writes them: the first entry names the policy.
  .map(({ descriptors, ...rest }) =>
    bare({
      ...rest,
      descriptors: descriptors.map(list => [
        { key: 'policy', type: 'constant' as const, value: rest.name },
        ...list.filter(each => each.key !== 'policy'),
      ]),
    }),
  ) as fc.Arbitrary<Quota>

const base: Route = { name: 'r', origin: 'r', match: {}, filters: [], action: { type: 'forward', backends: [{ backend: 'b', weight: 1 }] } }
const tableOf = (route: Route) => ({ name: 't', hosts: [{ name: '*', domains: ['*'], routes: [route] }] })
const encodedOf = (route: Route) => encodeView({ ...emptyView, routes: { t: tableOf(route) } })[typeUrls.route].get('t')!

test('copies, CORS, faults, limits, sizes and compression of a route reach the proxy unchanged as messages of Envoy', () => {
  const more = fc
    .record({
      mirrors: optional(mirrors),
      cors: optional(cors),
      fault: optional(fault),
      rateLimit: optional(rateLimit),
      quota: optional(quota),
      sizes: optional(sizes),
      compression: optional(compression),
    })
    .map(bare)
  fc.assert(
    fc.property(more, asked => {
      const route = structuredClone({ ...base, ...asked }) as Route // records of fast-check have no prototype
      const decoded = decodeResource(typeUrls.route, 't', encodedOf(route).body)
      assert.deepEqual(decoded, { part: { type: 'route', value: tableOf(route) } })
    }),
  )
})

/** What stands under the filters' names in a route, as Envoy reads it. */
const configsOf = (route: Route): Readonly<Record<string, JsonValue>> => {
  const message = toJson(RouteConfigurationSchema, encodeRouteTable(tableOf(route)), { registry }) as {
    virtualHosts: [{ routes: [{ typedPerFilterConfig?: Record<string, JsonValue> }] }]
  }
  return message.virtualHosts[0].routes[0].typedPerFilterConfig ?? {}
}

test('what Envoy cannot do stands in an extension that it must refuse, what it need not know in one that it may skip', () => {
  const abort = { type: 'http', status: 503, share: 100_000 } as const
  const plain = configsOf({ ...base, fault: { policy: 'p', endsAt: 1, abort } })
  assert.deepEqual(plain['envoy.filters.http.fault'], {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault',
    abort: { httpStatus: 503, percentage: { numerator: 100_000, denominator: 'MILLION' } },
  })
  const isOptional = (config: JsonValue | undefined): boolean => (config as { isOptional?: boolean }).isOptional === true
  assert.equal(isOptional(plain['dev.weft.fault']), true)
  assert.equal(isOptional(configsOf({ ...base, fault: { policy: 'p', abort: { type: 'reset', share: 1 } } })['dev.weft.fault']), false)
  const limit = { name: 'l', requests: 5, intervalMs: 1000, burst: 8 }
  assert.deepEqual(configsOf({ ...base, rateLimit: limit }), {
    'envoy.filters.http.local_ratelimit': {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit',
      statPrefix: 'l',
      tokenBucket: { maxTokens: 8, tokensPerFill: 5, fillInterval: '1s' },
      filterEnabled: { defaultValue: { numerator: 100 } },
      filterEnforced: { defaultValue: { numerator: 100 } },
      rateLimitedAsResourceExhausted: true,
    },
  })
  const keyed = configsOf({ ...base, rateLimit: { ...limit, by: [{ type: 'identity' }] } })
  assert.deepEqual(Object.keys(keyed), ['dev.weft.rate-limit'])
  assert.equal(isOptional(keyed['dev.weft.rate-limit']), false)
})

test('what others ask of these filters and the proxy does not do is refused by name', () => {
  const type = (name: string) => `type.googleapis.com/envoy.extensions.filters.http.${name}`
  const tried = (route: Record<string, JsonValue>, key: string, config: Record<string, JsonValue>): string => {
    const json = {
      name: 't',
      virtualHosts: [
        {
          name: 'v',
          domains: ['*'],
          routes: [
            { match: { prefix: '/' }, route: { cluster: 'c', ...route }, typedPerFilterConfig: key === '' ? {} : { [key]: config } },
          ],
        },
      ],
    } as JsonValue
    const result = decodeResource(
      typeUrls.route,
      't',
      toBinary(RouteConfigurationSchema, fromJson(RouteConfigurationSchema, json, { registry })),
    )
    return 'rejected' in result ? result.rejected : 'taken'
  }
  const fault = (config: Record<string, JsonValue>) =>
    tried({}, 'envoy.filters.http.fault', { '@type': type('fault.v3.HTTPFault'), ...config })
  assert.equal(fault({ abort: { httpStatus: 503, percentage: { numerator: 1 } } }), 'taken')
  assert.match(fault({ abort: { headerAbort: {} } }), /fault"\]\.abort\.header_abort: not carried out/)
  assert.match(fault({ abort: { httpStatus: 200 } }), /abort\.http_status: only 400 to 599/)
  assert.equal(fault({ responseRateLimit: { fixedLimit: { limitKbps: 1 }, percentage: { numerator: 1 } } }), 'taken')
  assert.match(fault({ responseRateLimit: { headerLimit: {} } }), /response_rate_limit: only fixed_limit is carried out/)
  const compressor = tried({}, 'envoy.filters.http.compressor.gzip', { '@type': type('compressor.v3.CompressorPerRoute'), overrides: {} })
  assert.match(compressor, /compressor\.gzip"\]: carried out only beside dev\.weft\.compression/)
  const buffer = (config: Record<string, JsonValue>) =>
    tried({}, 'envoy.filters.http.buffer', { '@type': type('buffer.v3.BufferPerRoute'), ...config })
  assert.equal(buffer({ buffer: { maxRequestBytes: 5 } }), 'taken')
  assert.equal(buffer({ disabled: true }), 'taken')
  assert.match(buffer({ buffer: {} }), /max_request_bytes: missing/)
  const rewrite = (pattern: string, substitution: string) => tried({ regexRewrite: { pattern: { regex: pattern }, substitution } }, '', {})
  assert.equal(rewrite('^/(a)', '/\\1'), 'taken')
  assert.match(rewrite('^/(a)', '/\\2'), /regex_rewrite\.substitution: the pattern has no group 2/)
  assert.match(rewrite('^/(?i)', '/'), /regex_rewrite\.pattern: "\^\/\(\?i\)" is not carried out/)
  assert.match(fault({ upstreamCluster: 'other' }), /upstream_cluster: not carried out/)
  const whole = { defaultValue: { numerator: 100 } }
  const limit = (config: Record<string, JsonValue>) =>
    tried({}, 'envoy.filters.http.local_ratelimit', {
      '@type': type('local_ratelimit.v3.LocalRateLimit'),
      statPrefix: 'x',
      tokenBucket: { maxTokens: 1, fillInterval: '1s' },
      filterEnabled: whole,
      filterEnforced: whole,
      rateLimitedAsResourceExhausted: true,
      ...config,
    })
  assert.equal(limit({}), 'taken')
  assert.match(limit({ filterEnforced: { defaultValue: { numerator: 10 } } }), /100 % only/)
  assert.match(limit({ tokenBucket: { maxTokens: 1 } }), /must be above 0/)
  assert.match(limit({ localRateLimitPerDownstreamConnection: true }), /local_rate_limit_per_downstream_connection: not carried out/)
  const cors = (config: Record<string, JsonValue>) =>
    tried({}, 'envoy.filters.http.cors', { '@type': type('cors.v3.CorsPolicy'), ...config })
  assert.equal(cors({ allowOriginStringMatch: [{ suffix: '.a.test' }] }), 'taken')
  assert.match(cors({ shadowEnabled: whole }), /shadow_enabled: not carried out/)
  assert.match(cors({ maxAge: 'long' }), /max_age: "long" is no number/)
  assert.match(
    tried({ requestMirrorPolicies: [{ cluster: 'm' }] }, '', {}),
    /request_mirror_policies\[0\]\.disable_shadow_host_suffix_append/,
  )
  assert.match(tried({}, 'envoy.filters.http.lua', { '@type': type('cors.v3.CorsPolicy') }), /lua"\]: not carried out/)
})

test('a limit that several routes keep together arrives whole, and is none that Envoy would take for one of each', () => {
  const rateLimit: RateLimit = { name: 'd/all', requests: 5, intervalMs: 1000, burst: 5 }
  const route = (name: string, more: Partial<Route>): Route => ({
    name,
    origin: name,
    match: { path: { type: 'exact', value: `/${name}` } },
    filters: [],
    action: { type: 'forward', backends: [{ backend: 'x', weight: 1 }] },
    ...more,
  })
  const routes = [route('a', { rateLimit }), route('b', { rateLimit }), route('c', { rateLimit: { ...rateLimit, name: 'd/own' } })]
  const table = { name: 't', hosts: [{ name: '*', domains: ['*'], routes }] }
  const sent = encodeRouteTable(table)
  assert.deepEqual(
    sent.virtualHosts[0]!.routes.map(each => Object.keys(each.typedPerFilterConfig)),
    [['dev.weft.rate-limit'], ['dev.weft.rate-limit'], ['envoy.filters.http.local_ratelimit']],
  )
  const decoded = decodeResource(typeUrls.route, 't', toBinary(RouteConfigurationSchema, sent))
  assert.deepEqual('part' in decoded && decoded.part.value, table)
})
