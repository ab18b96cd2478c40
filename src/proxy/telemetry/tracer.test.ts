/** One request, one span, whatever it causes on its way, and the way of spans to a collector that has too much to do. */

import assert from 'node:assert/strict'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { forwardTo, inboundSide, materials, type OutboundSide, outboundSide, remote, type Side, table } from '../../../test/harness/pair.ts'
import { counted, until, type Workload, workload } from '../../../test/harness/versions.ts'
import type { Backend } from '../../model/backend.ts'
import type { Listener } from '../../model/listener.ts'
import type { Route } from '../../model/route.ts'
import type { Tracing } from '../../model/telemetry.ts'

type Told = {
  readonly traceId: string
  readonly spanId: string
  readonly kind: number
  readonly attributes: readonly { key: string; value: object }[]
}

describe('a request that causes others', { timeout: 60_000 }, () => {
  const seen: { readonly by: string; readonly traceparent: string }[] = []
  const spans: Told[] = []
  const posts: string[] = []
  /** Of the next requests to the collector; then 200. */
  const answers: number[] = []
  const apps: Workload[] = []
  const insides: Side[] = []
  let outside: OutboundSide & AsyncDisposable
  let collector: http.Server

  before(async () => {
    const certificates = await materials('web', 'shadow', 'shop')
    const app = (by: string, answer: (reply: http.ServerResponse) => void) =>
      workload('http1', (ask, reply) => {
        seen.push({ by, traceparent: String(ask.headers['traceparent'] ?? '') })
        answer(reply)
      })
    apps.push(await app('slow', () => {}), await app('quick', reply => reply.end('quick')), await app('shadow', reply => reply.end()))
    for (const [at, { port }] of apps.entries()) {
      const service = at === 2 ? 'shadow' : 'web'
      insides.push(await inboundSide(service, port, 'http', certificates[service]!))
    }
    collector = http.createServer(async (ask, reply) => {
      const body = Buffer.concat(await ask.toArray()).toString()
      posts.push(`${ask.method} ${ask.url} ${ask.headers['traceparent']?.slice(-3)}`)
      const status = answers.shift() ?? 200
      if (status === 200) {
        const { resourceSpans } = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: Told[] }[] }[] }
        spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(each => each.spans)))
      }
      reply.writeHead(status, { 'content-type': 'application/json', ...(status === 503 ? { 'retry-after': '0' } : {}) }).end('{}')
    })
    await new Promise<void>(done => collector.listen(0, '127.0.0.1', done))
    outside = await outboundSide('shop', certificates['shop']!, 'http', {})
  })
  after(async () => {
    await outside[Symbol.asyncDispose]()
    for (const { core } of insides) await core[Symbol.asyncDispose]()
    for (const app of apps) await app[Symbol.asyncDispose]()
    collector.closeAllConnections()
    collector.close()
  })

  const use = (tracing: Tracing | undefined, route: Partial<Route> = {}) => {
    const web = remote('web', [insides[0]!.port, insides[1]!.port])
    const shadow = remote('shadow', [insides[2]!.port])
    const set = web.endpoints['default/web:80']!
    // The first is the one that is asked first.
    const endpoints = set.endpoints.map((endpoint, at) => ({ ...endpoint, weight: at === 0 ? 1_000_000 : 1 }))
    const { port } = collector.address() as AddressInfo
    const spansTo: Backend = {
      name: 'tracing/here',
      service: 'collector',
      type: 'hosts',
      hosts: [{ host: '127.0.0.1', port, weight: 1, health: 'healthy', mtls: false, workload: 'collector' }],
      isExternal: true,
      port,
      protocol: 'http1',
      balance: 'round-robin',
      connectTimeoutMs: 2000,
      identities: [],
    }
    const out: Listener = {
      name: 'out',
      direction: 'outbound',
      host: '240.0.0.1',
      port: 80,
      protocol: 'http',
      service: 'web.default',
      routes: 'out',
      ...(tracing === undefined ? {} : { telemetry: { tracing } }),
    }
    outside.swap({
      listeners: { out },
      routes: { out: table('out', [{ ...forwardTo('default/web:80'), ...route }]) },
      backends: {
        'default/web:80': { ...web.backends['default/web:80']!, balance: 'least-request' },
        ...shadow.backends,
        ...(tracing === undefined ? {} : { 'tracing/here': spansTo }),
      },
      endpoints: { 'default/web:80': { ...set, endpoints }, ...shadow.endpoints },
    })
  }
  const tracing = (): Tracing => ({
    service: 'shop',
    url: `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`,
    backend: 'tracing/here',
    encoding: 'json',
    propagation: ['w3c'],
    attributes: [],
  })
  const both: Partial<Route> = { hedge: { afterMs: 30, attempts: 1 }, mirrors: [{ backend: 'default/shadow:80', share: 1_000_000 }] }
  const ask = async (): Promise<string> => (await fetch(`http://127.0.0.1:${outside.port}/`)).text()

  test('without tracing nothing is written and nobody is told', async () => {
    use(undefined, both)
    assert.equal(await ask(), 'quick')
    await until(() => seen.length === 3, 'all three were asked')
    assert.deepEqual(
      seen.splice(0).map(each => each.traceparent),
      ['', '', ''],
    )
    assert.deepEqual(posts, [])
  })

  test('a second try beside the first and a copy belong to one span, which a collector gets that first had too much to do', async () => {
    answers.push(503)
    use(tracing(), both)
    assert.equal(await ask(), 'quick')
    await until(() => seen.length === 3, 'all three were asked')
    const written = new Set(seen.map(each => each.traceparent))
    assert.deepEqual(new Set(seen.splice(0).map(each => each.by)), new Set(['slow', 'quick', 'shadow']))
    assert.equal(written.size, 1)
    await until(() => spans.length > 0, 'a span came')
    const [span, ...others] = spans.splice(0)
    assert.deepEqual(others, [])
    assert.deepEqual([...written], [`00-${span!.traceId}-${span!.spanId}-01`])
    const said = Object.fromEntries(span!.attributes.map(({ key, value }) => [key, Object.values(value)[0] as string]))
    assert.deepEqual([span!.kind, said['http.request.resend_count'], said['weft.workload']], [3, '1', 'web-2.default'])
    assert.deepEqual(posts.splice(0), ['POST /v1/traces -00', 'POST /v1/traces -00'])
    await until(() => counted(outside, 'weft_spans_total', /exported/) === 1, 'it is counted')
  })

  test('when the policy goes, what waits is handed over, and what is under way', async () => {
    use(tracing(), both)
    const answer = ask()
    await until(() => seen.length > 0, 'it is under way')
    use(undefined)
    assert.equal(await answer, 'quick')
    await until(() => spans.length === 1, 'the span came')
  })
})
