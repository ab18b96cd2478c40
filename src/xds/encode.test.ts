/** Any view, encoded, is decoded as the same view. One file as a whole: nearly all of it is the one generator of views. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Backend, EndpointSet } from '#model/backend'
import type { Filter, HeaderChange, PathChange } from '#model/filter'
import type { Listener, ServerNames } from '#model/listener'
import { type Retry, retryConditions } from '#model/retry'
import type { Action, Match, Route, RouteTable, ValueMatch, WeightedBackend } from '#model/route'
import { type DnsName, emptyView, type View } from '#model/view'
import { type Chain, decodeResource, joinChains } from './decode.ts'
import { encodeView } from './encode.ts'

const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
const host = fc.oneof(fc.ipV4(), fc.constant('::1'))
const port = fc.integer({ min: 1, max: 65535 })
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
/** Without the keys whose value is undefined, as exactOptionalPropertyTypes wants it. */
const bare = <T extends object>(value: T): T => Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as T

const value = fc.string({ maxLength: 12 })
const fields = fc
  .uniqueArray(word, { maxLength: 4 })
  .chain(names => fc.tuple(fc.constant(names), fc.array(fc.tuple(fc.nat(2), value), { minLength: names.length, maxLength: names.length })))
const change: fc.Arbitrary<HeaderChange> = fields
  .filter(([names]) => names.length > 0)
  .map(([names, kinds]) => {
    const of = (kind: number) => names.flatMap((name, index) => (kinds[index]![0] === kind ? [{ name, value: kinds[index]![1] }] : []))
    return { set: of(0), add: of(1), remove: of(2).map(({ name }) => name) }
  })
const headers = fc
  .tuple(optional(change), optional(change))
  .map(([request, response]): Filter[] => [
    ...(request ? [{ type: 'request-headers' as const, change: request }] : []),
    ...(response ? [{ type: 'response-headers' as const, change: response }] : []),
  ])
const segments = fc.array(fc.stringMatching(/^[a-z0-9.+(~]{1,5}$/), { maxLength: 3 }).map(parts => `/${parts.join('/')}`)
const pathChange = (prefix: boolean): fc.Arbitrary<PathChange> =>
  fc.oneof(
    segments.map(path => ({ type: 'full' as const, value: path })),
    ...(prefix ? [segments.map(path => ({ type: 'prefix' as const, value: path }))] : []),
  )
const rewrite = (prefix: boolean): fc.Arbitrary<Filter[]> =>
  fc
    .record({ host: optional(word), path: optional(pathChange(prefix)) })
    .map(({ host, path }) => (host === undefined && path === undefined ? [] : [bare({ type: 'rewrite' as const, host, path }) as Filter]))
const shares: fc.Arbitrary<WeightedBackend[]> = fc
  .array(
    fc.record({
      backend: optional(word),
      weight: fc.nat(1000),
      filters: optional(fc.tuple(headers, rewrite(true)).map(all => all.flat())),
    }),
    { minLength: 1, maxLength: 3 },
  )
  .filter(list => list.some(({ weight }) => weight > 0))
  .map(list => list.map(({ backend, weight, filters }) => ({ backend, weight, ...(filters?.length ? { filters } : {}) })))
const matches = (name: fc.Arbitrary<string>) =>
  fc.array(
    fc.oneof(
      fc.record({ name, type: fc.constant('exact' as const), value }),
      fc.record({ name, type: fc.constant('regex' as const), value: fc.constantFrom('.*', 'v[12]', 'a|b') }),
    ),
    { minLength: 1, maxLength: 2 },
  ) as fc.Arbitrary<ValueMatch[]>
const match: fc.Arbitrary<Match> = fc
  .record({
    path: optional(
      fc.oneof(
        fc.record({ type: fc.constantFrom('exact' as const, 'prefix' as const), value: segments }),
        fc.constant({ type: 'regex' as const, value: '/v[0-9]+/.*' }),
      ),
    ),
    method: optional(fc.constantFrom('GET', 'POST')),
    grpc: optional(fc.constant(true as const)),
    headers: optional(matches(word)),
    query: optional(matches(fc.stringMatching(/^[A-Za-z]{1,5}$/))),
  })
  .map(bare) as fc.Arbitrary<Match>
const retry: fc.Arbitrary<Retry> = fc
  .record({
    attempts: fc.integer({ min: 1, max: 10 }),
    codes: fc.uniqueArray(fc.integer({ min: 400, max: 599 }), { maxLength: 4 }),
    on: fc.uniqueArray(fc.constantFrom(...retryConditions), { maxLength: 4 }),
    backoff: fc.tuple(fc.integer({ min: 1, max: 500 }), fc.nat(5000)).map(([baseMs, more]) => ({ baseMs, maxMs: baseMs + more })),
    longestRetryAfterMs: optional(fc.integer({ min: 1, max: 60_000 })),
  })
  .map(bare) as fc.Arbitrary<Retry>
const affinity = fc
  .record({
    hash: optional(
      fc.array(
        fc.oneof(
          fc.record({ type: fc.constantFrom('header' as const, 'query' as const), name: word }),
          fc
            .record({
              type: fc.constant('cookie' as const),
              name: word,
              ttlMs: optional(fc.constantFrom(0, 5000)),
              path: optional(fc.constant('/a')),
            })
            .map(bare),
          fc.constant({ type: 'source-ip' as const }),
        ),
        { minLength: 1, maxLength: 3 },
      ),
    ),
    session: optional(
      fc.oneof(
        fc.record({ type: fc.constant('cookie' as const), name: word, path: fc.constantFrom('', '/'), ttlMs: fc.constantFrom(0, 60_000) }),
        fc.record({ type: fc.constant('header' as const), name: word }),
      ),
    ),
  })
  .map(bare) as fc.Arbitrary<Pick<Action & { type: 'forward' }, 'hash' | 'session'>>
const route: fc.Arbitrary<Route> = fc.tuple(word, value, match).chain(([name, origin, match]): fc.Arbitrary<Route> => {
  const changesPrefix = match.path === undefined || match.path.type === 'prefix'
  const shape = { name, origin, match }
  return fc.oneof(
    fc
      .tuple(
        headers,
        rewrite(changesPrefix),
        shares,
        fc.record({
          requestMs: optional(fc.integer({ min: 1, max: 90_000 })),
          tryMs: optional(fc.integer({ min: 1, max: 90_000 })),
          idleMs: optional(fc.integer({ min: 1, max: 99_999 })),
        }),
        optional(retry),
        optional(
          fc.record({
            afterMs: fc.integer({ min: 1, max: 9000 }),
            attempts: fc.integer({ min: 1, max: 9 }),
            allMethods: optional(fc.constant(true as const)),
          }),
        ),
        affinity,
      )
      .map(([headers, rewrite, backends, timeouts, retry, hedge, affinity]) => ({
        ...shape,
        filters: [...headers, ...rewrite],
        action: { type: 'forward' as const, backends, ...affinity },
        ...(Object.keys(bare(timeouts)).length > 0 ? { timeouts: bare(timeouts) as { requestMs: number } } : {}),
        ...(retry === undefined ? {} : { retry }),
        ...(hedge === undefined ? {} : { hedge: bare(hedge) as { afterMs: number; attempts: number } }),
      })),
    fc
      .tuple(
        headers,
        fc.record({
          scheme: optional(fc.constantFrom('http' as const, 'https' as const)),
          host: optional(word),
          port: optional(port),
          path: optional(pathChange(changesPrefix)),
          status: fc.constantFrom(301 as const, 302 as const, 303 as const, 307 as const, 308 as const),
        }),
      )
      .map(([filters, redirect]) => ({
        ...shape,
        filters,
        action: { type: 'redirect' as const, redirect: bare(redirect) as { status: 301 } },
      })),
    fc
      .tuple(headers, fc.integer({ min: 400, max: 599 }), fc.constantFrom('rule-invalid' as const, 'backend-invalid' as const), value)
      .map(([filters, status, reason, detail]) => ({ ...shape, filters, action: { type: 'respond' as const, status, reason, detail } })),
  )
})
const table: fc.Arbitrary<Omit<RouteTable, 'name'>> = fc.record({
  hosts: fc.array(
    fc.record({ name: word, domains: fc.constantFrom(['*'], ['a.test', '*.b.test']), routes: fc.array(route, { maxLength: 4 }) }),
    { maxLength: 2 },
  ),
})

const opaque: fc.Arbitrary<WeightedBackend[]> = fc.array(fc.record({ backend: optional(word), weight: fc.integer({ min: 1, max: 100 }) }), {
  minLength: 1,
  maxLength: 3,
})
const serverNames: fc.Arbitrary<ServerNames[]> = fc
  .uniqueArray(fc.stringMatching(/^(\*\.)?[a-z]{1,4}\.[a-z]{1,4}$/), { minLength: 1, maxLength: 4 })
  .chain(names =>
    fc.tuple(...names.map(name => opaque.map(backends => ({ names: [name, `more.${name.replace('*.', '')}.${name.length}`], backends })))),
  )
const positive = fc.integer({ min: 1, max: 1000 })
const concurrency = fc.record({
  percentile: fc.nat(100),
  intervalMs: positive,
  mostLimit: positive,
  roundTrip: fc.record({
    intervalMs: positive,
    requests: positive,
    jitterPercent: fc.nat(100),
    limit: positive,
    bufferPercent: fc.nat(100),
  }),
})
/** Modern is what it is where nothing is said. */
const meshProfile = fc.constantFrom('fips' as const, 'pqc' as const)
const listener: fc.Arbitrary<Omit<Listener, 'name'>> = fc
  .record({
    direction: fc.constantFrom('outbound' as const, 'inbound' as const),
    host,
    port,
    protocol: fc.constantFrom('http', 'http2', 'grpc', 'tcp', 'tls', 'detect'),
    tls: optional(fc.record({ mode: fc.constantFrom('strict' as const, 'permissive' as const), profile: optional(meshProfile) }).map(bare)),
    demandsHeader: fc.boolean(),
    routes: word,
    backends: opaque,
    serverNames: optional(serverNames),
    hasOthers: fc.boolean(),
    idleMs: optional(fc.constantFrom(0, 1, 90_000)),
    hash: optional(fc.constant('source-ip' as const)),
    concurrency: optional(concurrency),
    service: word,
  })
  .map(
    ({
      direction,
      host,
      port,
      protocol,
      tls,
      demandsHeader,
      routes,
      backends,
      serverNames,
      hasOthers,
      idleMs,
      hash,
      concurrency,
      service,
    }) => ({
      direction,
      host,
      port,
      protocol: protocol as Listener['protocol'],
      ...(direction === 'inbound' && tls ? { tls: tls as NonNullable<Listener['tls']> } : {}),
      ...(direction === 'inbound' && demandsHeader ? { proxyProtocol: true as const } : {}),
      ...(['tcp', 'tls'].includes(protocol) ? {} : { routes }),
      ...(direction === 'outbound' && protocol === 'tls' && serverNames
        ? { serverNames, ...(hasOthers ? { backends } : {}) }
        : ['tcp', 'tls', 'detect'].includes(protocol)
          ? { backends }
          : {}),
      ...(['tcp', 'tls', 'detect'].includes(protocol) && idleMs !== undefined ? { idleMs } : {}),
      ...(['tcp', 'tls', 'detect'].includes(protocol) && hash !== undefined ? { hash } : {}),
      ...(direction === 'inbound' && !['tcp', 'tls'].includes(protocol) && concurrency !== undefined ? { concurrency } : {}),
      service,
    }),
  )
const datagrams: fc.Arbitrary<Omit<Listener, 'name'>> = fc.oneof(
  fc
    .record({
      host,
      port,
      backends: opaque,
      idleMs: optional(fc.constantFrom(1, 90_000)),
      hash: optional(fc.constant('source-ip' as const)),
      service: word,
    })
    .map(given => bare({ direction: 'outbound' as const, protocol: 'udp' as const, ...given }) as Omit<Listener, 'name'>),
  fc.record({ host, port, backend: word, service: word }).map(({ backend, ...given }) => ({
    direction: 'inbound' as const,
    protocol: 'udp' as const,
    tls: { mode: 'strict' as const },
    backends: [{ backend, weight: 1 }],
    ...given,
  })),
)
const few = fc.nat(20)
const whileMs = fc.integer({ min: 100, max: 60_000 })
const resilience = {
  retryConstraint: optional(
    fc.record({ percent: fc.nat(100), intervalMs: whileMs, least: fc.record({ count: few, intervalMs: whileMs }) }),
  ),
  limits: optional(
    fc.record({ connections: few, pendingRequests: optional(few), requests: optional(few), retries: optional(few) }).map(bare),
  ),
  outlierDetection: optional(
    fc
      .record({
        consecutive5xx: few,
        consecutiveGatewayErrors: few,
        consecutiveLocalOriginFailures: few,
        splitsLocalOrigin: fc.boolean(),
        intervalMs: whileMs,
        baseEjectionMs: whileMs,
        maxEjectionMs: whileMs.map(ms => ms + 60_000),
        maxEjectionPercent: fc.nat(100),
        successRate: optional(fc.record({ minimumHosts: few, requestVolume: few, stdevThousandths: few })),
        failurePercentage: optional(fc.record({ percent: few, minimumHosts: few, requestVolume: few })),
        tooManyRequests: optional(fc.record({ pauseMs: whileMs, longestMs: whileMs })),
        enforced: optional(fc.integer({ min: 1, max: 99 })),
      })
      .map(({ enforced, ...given }) => bare({ ...given, enforcing: enforced === undefined ? undefined : enforcingOf(given, enforced) })),
  ),
}
/** Of what is asked for only. */
function enforcingOf(
  given: { readonly consecutive5xx: number; readonly splitsLocalOrigin: boolean } & Readonly<Record<string, unknown>>,
  percent: number,
) {
  const found = {
    ...(given.consecutive5xx > 0 ? { consecutive5xx: percent } : {}),
    ...(given['successRate'] === undefined ? {} : { successRate: percent }),
    ...(given['successRate'] === undefined || !given.splitsLocalOrigin ? {} : { localOriginSuccessRate: 0 }),
    ...(given['failurePercentage'] === undefined ? {} : { failurePercentage: percent }),
  }
  return Object.keys(found).length === 0 ? undefined : found
}
const slowStartMs = optional(whileMs)
const balancingOf = (balance: Backend['balance'], more: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record({ panicPercent: optional(fc.constantFrom(1, 50, 100)), ...more }).map(given => {
    const balancing = bare(given)
    return { balance, balancing: Object.keys(balancing).length === 0 ? undefined : balancing }
  })
const balance = fc.oneof(
  balancingOf('round-robin', { slowStartMs }),
  balancingOf('random', {}),
  balancingOf('least-request', { slowStartMs, choices: optional(fc.constantFrom('all' as const, 2, 5)) }),
  balancingOf('peak-ewma', { slowStartMs }),
  balancingOf('ring-hash', { ringSize: optional(fc.constantFrom({ min: 10 }, { max: 4096 }, { min: 64, max: 128 })) }),
  balancingOf('maglev', { tableSize: optional(fc.constantFrom(7, 65_537, 2039)) }),
)
const backend: fc.Arbitrary<Omit<Backend, 'name'>> = fc
  .record({
    service: word,
    type: fc.constantFrom('endpoints' as const, 'local' as const),
    port,
    protocol: fc.constantFrom('http1' as const, 'http2' as const, 'downstream' as const, 'tcp' as const, 'udp' as const),
    chosen: balance,
    connectTimeoutMs: fc.integer({ min: 1, max: 60_000 }),
    identities: fc.array(
      word.map(name => `spiffe://weft.test/ns/default/sa/${name}`),
      { maxLength: 2 },
    ),
    profile: optional(meshProfile),
    proxyProtocol: optional(fc.constantFrom('v1' as const, 'v2' as const)),
    ...resilience,
  })
  // The workload behind the proxy is one: there is no choice, and no panic.
  .map(({ chosen, profile, ...given }) =>
    bare({
      ...given,
      ...(given.identities.length > 0 ? { profile } : {}),
      ...(given.type === 'local' ? { balance: 'round-robin' } : bare(chosen)),
    }),
  ) as fc.Arbitrary<Omit<Backend, 'name'>>
const endpoints: fc.Arbitrary<Omit<EndpointSet, 'backend'>> = fc
  .record({
    endpoints: fc.array(
      fc.record({
        host,
        port,
        weight: fc.integer({ min: 1, max: 100 }),
        health: fc.constantFrom('healthy' as const, 'degraded' as const, 'unhealthy' as const, 'draining' as const),
        mtls: fc.boolean(),
        workload: word,
        locality: optional(fc.record({ region: word, zone: word, host: optional(word) }).map(bare)),
        priority: optional(fc.constantFrom(1, 2)),
      }),
      { maxLength: 5 },
    ),
  })
  .map(({ endpoints }) => ({ endpoints: byPlace(endpoints).map(bare) as EndpointSet['endpoints'] }))
/** Endpoints of one place stand together on the wire. */
const byPlace = <T extends { locality: unknown; priority: unknown }>(list: readonly T[]): T[] =>
  [...Map.groupBy(list, ({ locality, priority }) => JSON.stringify([locality, priority])).values()].flat()

const named = <T>(part: fc.Arbitrary<T>, key = 'name') =>
  fc
    .dictionary(fc.stringMatching(/^[a-z]{1,6}\/[a-z]{1,6}:[0-9]{1,4}$/), part, { maxKeys: 3, noNullPrototype: true })
    .map(record => Object.fromEntries(Object.entries(record).map(([name, value]) => [name, { [key]: name, ...value }])))
const dns: fc.Arbitrary<DnsName[]> = fc.array(fc.record({ name: word, addresses: fc.array(fc.ipV4(), { maxLength: 2 }) }), {
  minLength: 1,
  maxLength: 3,
})
const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`
const roots = fc.array(fc.stringMatching(/^[A-Za-z0-9+]{4,20}$/).map(pem), { minLength: 1, maxLength: 2 })
const withdrawnBy = { by: fc.constantFrom('lost', 'stolen'), reason: fc.constantFrom('Unspecified', 'KeyCompromise') }
const withdrawn = {
  crls: fc.array(fc.stringMatching(/^[A-Za-z0-9+]{4,20}$/), { minLength: 1, maxLength: 2 }),
  revoked: fc.array(
    fc.oneof(
      fc.record({ ...withdrawnBy, serial: fc.stringMatching(/^[0-9a-f]{2,40}$/) }),
      fc.record({ ...withdrawnBy, identity: fc.record({ type: fc.constantFrom('exact', 'prefix'), value: fc.string() }) }),
    ),
    { minLength: 1, maxLength: 3 },
  ),
}
const idTemplates = fc.record({ 'weft.test': fc.constant('/{namespace}/{serviceAccount}') }, { noNullPrototype: true })
const trust = fc.oneof(
  fc.record({ domain: fc.constantFrom('', 'weft.test'), roots }),
  fc.record(
    { domain: fc.constant('weft.test'), roots, federated: fc.record({ 'one.test': roots, 'two.test': roots }), idTemplates, ...withdrawn },
    { requiredKeys: ['domain', 'roots'] },
  ),
)
const views = fc
  .record({
    listeners: named(fc.oneof({ weight: 3, arbitrary: listener }, { weight: 1, arbitrary: datagrams })),
    routes: named(table),
    backends: named(backend),
    endpoints: named(endpoints, 'backend'),
    dns,
    trust,
  })
  .map(view => ({ ...view, backends: withFallbacks(view.backends as unknown as View['backends']) })) as unknown as fc.Arbitrary<View>

/** Those with endpoints help each other out in order of name, two in a chain and then three. */
function withFallbacks(backends: View['backends']): View['backends'] {
  const names = Object.keys(backends).filter(name => backends[name]!.type === 'endpoints')
  const next = (name: string) => {
    const at = names.indexOf(name)
    return at < 0 || at % 3 === 2 ? undefined : names[at + 1]
  }
  return Object.fromEntries(
    Object.entries(backends).map(([name, each]) => [name, bare({ ...each, fallback: next(name) })]),
  ) as View['backends']
}

function decodeAll(view: View): View {
  const parts: Record<string, Record<string, unknown>> = { listener: {}, route: {}, backend: {}, endpoints: {} }
  let dns: View['dns'] = []
  let trust = emptyView.trust
  const chains: Chain[] = []
  for (const [typeUrl, resources] of Object.entries(encodeView(view))) {
    for (const [name, { body }] of resources) {
      const decoded = decodeResource(typeUrl, name, body)
      if ('rejected' in decoded) assert.fail(`${name}: ${decoded.rejected}`)
      const { part } = decoded
      if (part.type === 'dns') dns = part.value
      else if (part.type === 'trust') trust = { ...part.value, ...trust, domain: part.value.domain, roots: part.value.roots }
      else if (part.type === 'withdrawn') trust = { ...trust, ...part.value }
      else if (part.type === 'chain') chains.push(part.value)
      else parts[part.type]![name] = part.value
    }
  }
  return {
    listeners: parts['listener'],
    routes: parts['route'],
    backends: Object.fromEntries(joinChains(Object.values(parts['backend']!) as Backend[], chains).map(each => [each.name, each])),
    endpoints: parts['endpoints'],
    dns,
    trust,
  } as unknown as View
}

test('what encode makes of any view, decode reads back as the same view', () => {
  fc.assert(
    fc.property(views, generated => {
      const view = JSON.parse(JSON.stringify(generated)) as View // plain prototypes
      assert.deepEqual(JSON.parse(JSON.stringify(decodeAll(view))), view)
    }),
    { numRuns: 300 },
  )
})

test('a part that is the same object is encoded once, and equal content has an equal version', () => {
  const set: EndpointSet = { backend: 'a', endpoints: [] }
  const first = encodeView({ ...emptyView, endpoints: { a: set } })
  const second = encodeView({ ...emptyView, endpoints: { a: set, b: { backend: 'b', endpoints: [] } } })
  const third = encodeView({ ...emptyView, endpoints: { a: { backend: 'a', endpoints: [] } } })
  const [a, b, c] = [first, second, third].map(set => set['type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment'].get('a')!)
  assert.equal(a, b)
  assert.notEqual(a, c)
  assert.equal(a!.version, c!.version)
})
