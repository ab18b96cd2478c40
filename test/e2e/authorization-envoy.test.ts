/** One file, two data planes: what authorization services answer, good and hostile, means the same to our proxy and to Envoy, and nothing of a refused request is forwarded. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { create, type JsonValue, toJson } from '@bufbuild/protobuf'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import type { AccessRule } from '../../src/model/access-rule.ts'
import type { Authorizer } from '../../src/model/authorizer.ts'
import type { Route } from '../../src/model/route.ts'
import { encodeConnectionAuthorizer } from '../../src/xds/encode/authorize.ts'
import { httpFiltersOf } from '../../src/xds/encode/per-route.ts'
import { encodeRouteTable } from '../../src/xds/encode/route.ts'
import { registry } from '../../src/xds/file/registry.ts'
import { FilterSchema } from '../../src/xds/gen/envoy/config/listener/v3/listener_components_pb.ts'
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.ts'
import {
  HttpConnectionManagerSchema,
  HttpFilterSchema,
} from '../../src/xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { startEnvoy } from '../harness/envoy-process.ts'
import { startFileProxy } from '../harness/file-proxy.ts'
import { freePort } from '../harness/machine.ts'
import { type Workload, workload } from '../harness/versions.ts'
import { type Provider, startProvider } from './authorization/provider.ts'

const program = presentEnvoy()
type Plane = 'weft' | 'envoy'
const planes: readonly Plane[] = ['weft', ...(program === undefined ? [] : (['envoy'] as const))]
const versions = ['http1', 'http2'] as const

const rule: AccessRule = {
  name: 'shop/some#0',
  from: [],
  to: [
    [
      { on: 'path', any: [{ type: 'prefix', value: '/some/admin/' }] },
      { on: 'path', any: [{ type: 'prefix', value: '/some/admin/health/' }], not: true },
    ],
    [
      { on: 'method', any: [{ type: 'exact', value: 'DELETE' }] },
      { on: 'path', any: [{ type: 'prefix', value: '/some/' }] },
    ],
  ],
}
const calls = (name: string, more: Partial<Authorizer> = {}): Authorizer => ({
  name,
  backend: 'calls',
  timeoutMs: 1500,
  failsOpen: false,
  ask: { type: 'grpc' },
  ...more,
})
const requests = (name: string, more: Partial<Authorizer> = {}): Authorizer => ({
  name,
  backend: 'requests',
  timeoutMs: 1500,
  failsOpen: false,
  ask: { type: 'http', prefix: '/check', headers: ['x-team'], toBackend: ['x-user'], toCaller: ['x-left'] },
  ...more,
})
const authorizers: readonly Authorizer[] = [
  calls('shop/calls'),
  calls('shop/open', { failsOpen: true }),
  calls('shop/dead', { backend: 'dead' }),
  calls('shop/some', { when: [rule] }),
  calls('shop/body', { body: { maxBytes: 10, isCut: false } }),
  calls('shop/cut', { body: { maxBytes: 10, isCut: true } }),
  calls('shop/chosen', { ask: { type: 'grpc', headers: ['x-team'] } }),
  calls('shop/picked', { ask: { type: 'grpc', headers: ['x-team'] }, body: { maxBytes: 10, isCut: true } }),
  requests('shop/requests'),
  requests('shop/all', {
    ask: { type: 'http', prefix: '', headers: [], toBackend: 'all', toCaller: [] },
    body: { maxBytes: 10, isCut: true },
  }),
]
const routes: readonly Route[] = [...authorizers.map(({ name }) => name.slice(5)), 'both', ''].map(
  (name): Route => ({
    name: name === '' ? 'free' : name,
    origin: name,
    match: { path: { type: 'prefix', value: `/${name}` } },
    filters: [],
    action: { type: 'forward', backends: [{ backend: 'app', weight: 1 }] },
    ...(name === '' ? {} : { authorize: name === 'both' ? ['shop/calls', 'shop/requests'] : [`shop/${name}`] }),
  }),
)

/** status: what the caller gets. weft: the reason that our proxy gives; '' where the request went on. */
type Case = {
  readonly path: string
  readonly status: number
  readonly weft: string
  readonly envoy?: number
  readonly headers?: Readonly<Record<string, string>>
}
const invalid = { status: 500, weft: 'external-authorization-invalid' }
const unavailable = { status: 503, weft: 'external-authorization-unavailable' }
const denied = { status: 403, weft: 'external-authorization-denied' }
const cases: readonly Case[] = [
  { path: '/calls/yes', status: 200, weft: '' },
  { path: '/calls/no', ...denied },
  { path: '/calls/login', ...denied, status: 302, headers: { location: 'https://login.test/?a=b', 'set-cookie': 'a=1' } },
  { path: '/calls/teapot', ...denied, status: 418, headers: { 'x-why': 'tea' } },
  { path: '/calls/newline-name', ...invalid },
  { path: '/calls/newline-value', ...invalid },
  // Envoy sends it on, and the workload cannot read that.
  { path: '/calls/no-name', ...invalid, envoy: 400 },
  { path: '/calls/pseudo', ...invalid },
  { path: '/calls/host', ...invalid },
  { path: '/calls/framing', ...invalid },
  { path: '/calls/hop', ...invalid },
  { path: '/calls/caller', ...invalid },
  { path: '/calls/huge', ...invalid },
  // To Envoy a message without anything is a yes.
  { path: '/calls/empty', ...unavailable, envoy: 200 },
  { path: '/calls/garbage', ...unavailable },
  { path: '/calls/failing', ...unavailable },
  { path: '/calls/reset', ...unavailable },
  { path: '/calls/slow', ...unavailable },
  { path: '/dead/yes', ...unavailable },
  { path: '/open/failing', status: 200, weft: '' },
  { path: '/open/slow', status: 200, weft: '' },
  { path: '/open/no', ...denied },
  { path: '/open/newline-name', ...invalid },
  { path: '/some/free/no', status: 200, weft: '' },
  { path: '/some/admin/no', ...denied },
  { path: '/some/admin/health/no', status: 200, weft: '' },
  { path: '/some/admin%2fx/no', ...denied },
  { path: '/some//admin/no', ...denied },
  { path: '/some/%61dmin/no', ...denied },
  { path: '/some/x/../admin/no', ...denied },
  { path: '/requests/yes', status: 200, weft: '' },
  { path: '/requests/no', ...denied },
  { path: '/requests/login', ...denied, status: 302, headers: { location: 'https://login.test/' } },
  { path: '/requests/teapot', ...denied, status: 418, headers: { 'x-why': 'tea' } },
  { path: '/requests/created', ...denied, status: 201 },
  { path: '/requests/failing', ...unavailable },
  { path: '/requests/garbage', ...unavailable },
  { path: '/requests/reset', ...unavailable },
  { path: '/requests/slow', ...unavailable },
  { path: '/both/yes', status: 200, weft: '' },
  { path: '/both/no', ...denied },
  { path: '/both/created', ...denied, status: 201 },
]

type Answer = { readonly status: number; readonly headers: http.IncomingHttpHeaders; readonly body: string }

describe('authorization services, in two data planes', { timeout: 120_000 }, () => {
  let provider: Provider
  let app: Workload
  let echo: net.Server
  let folder: string
  let arrived = 0
  const ports: Record<Plane, { http: number; tcp: number }> = { weft: { http: 0, tcp: 0 }, envoy: { http: 0, tcp: 0 } }
  const ends: (() => Promise<unknown>)[] = []
  let isLetOn = true

  before(async () => {
    provider = await startProvider(() => (isLetOn ? { status: { code: 0 } } : { status: { code: 7 } }))
    ends.push(async () => provider[Symbol.asyncDispose]())
    app = await workload('http1', async (ask, reply) => {
      arrived++
      const body = (await ask.toArray()).join('')
      reply.setHeader('x-left', 'app')
      reply.end(JSON.stringify({ headers: ask.headers, url: ask.url, body }))
    })
    ends.push(async () => app[Symbol.asyncDispose]())
    echo = net.createServer(socket => socket.on('error', () => {}).pipe(socket))
    await new Promise<void>(done => echo.listen(0, '127.0.0.1', done))
    ends.push(async () => echo.close())
    const dead = await freePort()
    folder = mkdtempSync(join(tmpdir(), 'weft-authorization-'))
    const file = (name: string, http: number, tcp: number): string => {
      const path = join(folder, `${name}.json`)
      writeFileSync(path, JSON.stringify(bootstrap(http, tcp, dead)))
      return path
    }
    const weft = await startFileProxy(file('weft', 0, 0))
    ends.push(() => weft.stop())
    const portOf = (name: string): number => weft.told[0]!.listeners.find(each => each.name === name)!.port
    ports.weft = { http: portOf('front'), tcp: portOf('bytes') }
    if (program === undefined) return
    ports.envoy = { http: await freePort(), tcp: await freePort() }
    const started = file('envoy', ports.envoy.http, ports.envoy.tcp)
    const envoy = await startEnvoy(program, started, [ports.envoy.http])
    ends.push(() => envoy.stop())
  })
  after(async () => {
    for (const end of ends.reverse()) await end()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  function bootstrap(port: number, tcp: number, dead: number): JsonValue {
    const filters = httpFiltersOf('inbound', undefined, authorizers)
      .filter(({ name }) => /ext_authz|rbac\.when/.test(name))
      .map(filter => toJson(HttpFilterSchema, create(HttpFilterSchema, filter), { registry }))
    const router = { name: 'router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }
    const manager = {
      '@type': `type.googleapis.com/${HttpConnectionManagerSchema.typeName}`,
      stat_prefix: 'front',
      route_config: toJson(
        RouteConfigurationSchema,
        encodeRouteTable({ name: 'front', hosts: [{ name: 'all', domains: ['*'], routes }] }),
        { registry },
      ),
      http_filters: [...filters, router],
    }
    const connections = encodeConnectionAuthorizer(calls('shop/connections')).map(each =>
      toJson(FilterSchema, create(FilterSchema, each), { registry }),
    )
    const proxy = {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
      stat_prefix: 'bytes',
      cluster: 'echo',
    }
    const address = (to: number): JsonValue => ({ socket_address: { address: '127.0.0.1', port_value: to } })
    const versionTwo = {
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
          explicit_http_config: { http2_protocol_options: {} },
        },
      },
    }
    const clusters = { app: app.port, echo: (echo.address() as net.AddressInfo).port, calls: provider.grpc, requests: provider.http, dead }
    return {
      static_resources: {
        listeners: [
          {
            name: 'front',
            traffic_direction: 'INBOUND',
            address: address(port),
            filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
          },
          {
            name: 'bytes',
            traffic_direction: 'INBOUND',
            address: address(tcp),
            filter_chains: [{ filters: [...connections, { name: 'tcp', typed_config: proxy }] }],
          },
        ],
        clusters: Object.entries(clusters).map(([name, to]) => ({
          name,
          connect_timeout: '2s',
          ...(name === 'calls' || name === 'dead' ? versionTwo : {}),
          load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(to) } }] }] },
        })),
      },
    }
  }

  const ask = (plane: Plane, version: 'http1' | 'http2', path: string, sent: Sent = {}): Promise<Answer> =>
    version === 'http1' ? overHttp1(ports[plane].http, path, sent) : overHttp2(ports[plane].http, path, sent)

  for (const plane of planes)
    test(`${plane}: the table of answers`, async t => {
      for (const { path, status, weft, envoy, headers = {} } of cases)
        await t.test(path, async () => {
          // Nobody waits for what never comes more often than is needed.
          for (const version of path.endsWith('/slow') ? (['http1'] as const) : versions) {
            const before = arrived
            const got = await ask(plane, version, path)
            const wanted = plane === 'envoy' ? (envoy ?? status) : status
            assert.equal(got.status, wanted, `${version}: ${JSON.stringify(got)}`)
            assert.equal(arrived - before, wanted === 200 ? 1 : 0, `${version}: what arrived`)
            if (plane === 'weft') assert.equal(got.headers['x-weft-error'] ?? '', weft, version)
            for (const [name, value] of Object.entries(headers)) assert.equal(String(got.headers[name]), value, `${version}: ${name}`)
          }
        })
    })

  for (const plane of planes)
    test(`${plane}: many questions at once share a connection`, async () => {
      assert.equal((await ask(plane, 'http1', '/calls/yes')).status, 200)
      const before = provider.sessions()
      const answers = await Promise.all(Array.from({ length: 60 }, () => ask(plane, 'http1', '/calls/yes')))
      assert.ok(answers.every(({ status }) => status === 200))
      assert.ok(provider.sessions() - before <= 1, `${provider.sessions() - before} more connections`)
    })

  for (const plane of planes)
    test(`${plane}: calls of gRPC are refused by a status of the same meaning`, async () => {
      for (const [path, status] of [
        ['/calls/no', 7],
        ['/calls/failing', 14],
        ['/requests/no', 7],
      ] as const)
        assert.equal(await overGrpc(ports[plane].http, path), status, path)
    })

  for (const plane of planes)
    test(`${plane}: the workload gets what the service sets, and the caller what is for it`, async () => {
      for (const version of versions) {
        const sent = { headers: { 'x-user': 'root', 'x-team': 'south', 'x-secret': 'a', authorization: 'Basic YTpi' } }
        const got = await ask(plane, version, '/calls/headers', sent)
        const seen = (JSON.parse(got.body) as { headers: Record<string, string> }).headers
        assert.deepEqual([seen['x-user'], seen['x-secret'], seen['authorization']], ['ann', undefined, undefined], version)
        assert.deepEqual(seen['x-team']?.split(/, ?/), ['south', 'north'], version)
        assert.equal(Buffer.from(seen['x-raw']!, 'latin1').toString(), 'é', version)
        assert.match(String(got.headers['x-left']), /app, ?7/, version)
        const other = await ask(plane, version, '/requests/headers', sent)
        const also = (JSON.parse(other.body) as { headers: Record<string, string> }).headers
        assert.deepEqual([also['x-user'], also['x-other'], also['x-secret']], ['ann', undefined, 'a'], version)
        assert.match(String(other.headers['x-left']), /app, ?7/, version)
        const query = JSON.parse((await ask(plane, version, '/calls/query?a=1&token=x&b=2')).body) as { url: string }
        assert.deepEqual(
          [...new URL(query.url, 'http://x').searchParams].sort(),
          [
            ['a', '1'],
            ['b', '2'],
            ['user', 'ann'],
          ],
          version,
        )
      }
    })

  for (const plane of planes)
    test(`${plane}: the service sees the request, or of it what is chosen`, async () => {
      for (const version of versions) {
        provider.asked.length = provider.askedHttp.length = 0
        const headers = { 'x-team': 'south', cookie: 'a=1', authorization: 'Basic YTpi', host: 'shop.test' }
        await ask(plane, version, '/calls/yes?q=1', { method: 'PUT', headers })
        const http = provider.asked[0]!.attributes!.request!.http!
        assert.deepEqual([http.method, http.path, http.host], ['PUT', '/calls/yes?q=1', 'shop.test'], version)
        assert.equal(http.protocol, version === 'http1' ? 'HTTP/1.1' : 'HTTP/2')
        assert.deepEqual(
          [http.headers['x-team'], http.headers['cookie'], http.headers[':path']],
          ['south', 'a=1', '/calls/yes?q=1'],
          version,
        )
        const { source } = provider.asked[0]!.attributes!
        assert.equal(source?.address?.address.case === 'socketAddress' && source.address.address.value.address, '127.0.0.1', version)
        await ask(plane, version, '/chosen/yes', { headers })
        assert.deepEqual({ ...provider.asked[1]!.attributes!.request!.http!.headers }, { 'x-team': 'south' }, version)
        await ask(plane, version, '/requests/yes?q=1', { method: 'PUT', headers, body: 'secret' })
        const [asked] = provider.askedHttp
        assert.deepEqual([asked!.method, asked!.url, asked!.headers.host], ['PUT', '/check/requests/yes?q=1', 'shop.test'], version)
        assert.deepEqual([asked!.headers['x-team'], asked!.headers.authorization], ['south', 'Basic YTpi'], version)
        assert.deepEqual([asked!.headers.cookie, asked!.headers['content-length'], asked!.body], [undefined, '0', ''], version)
      }
    })

  for (const plane of planes)
    test(`${plane}: a body is shown as far as it may be, and the workload gets all of it`, async () => {
      for (const version of versions) {
        provider.asked.length = provider.askedHttp.length = 0
        const small = await ask(plane, version, '/body/yes', { method: 'POST', body: 'small' })
        assert.equal((JSON.parse(small.body) as { body: string }).body, 'small', version)
        const before = arrived
        // Envoy lets a body on that ends in the first frame of HTTP/2: it is not given such a policy.
        if (plane === 'weft' || version === 'http1')
          assert.equal((await ask(plane, version, '/body/yes', { method: 'POST', body: 'x'.repeat(11) })).status, 413, version)
        assert.equal(
          (await ask(plane, version, '/body/yes', { method: 'POST', body: 'x'.repeat(100_000), isChunked: true })).status,
          413,
          version,
        )
        assert.equal(arrived, before, version)
        const long = 'abcdefghij'.repeat(20_000)
        const cut = await ask(plane, version, '/cut/yes', { method: 'POST', body: long, isChunked: true })
        assert.equal((JSON.parse(cut.body) as { body: string }).body, long, version)
        const shown = provider.asked.map(each => Buffer.from(each.attributes!.request!.http!.rawBody).toString())
        assert.deepEqual(shown, ['small', 'abcdefghij'], version)
        const all = await ask(plane, version, '/all/yes', { method: 'POST', body: long })
        assert.equal((JSON.parse(all.body) as { body: string }).body, long, version)
        assert.deepEqual([provider.askedHttp[0]!.body, provider.askedHttp[0]!.headers['content-length']], ['abcdefghij', '10'], version)
      }
    })

  for (const plane of planes)
    test(`${plane}: the service is told whether the body that it is shown is whole, and by nobody else`, async () => {
      const forged = { 'x-envoy-auth-partial-body': 'false' }
      const bodies = { small: 'false', abcdefghij: 'false', abcdefghijk: 'true', ['abc'.repeat(30_000)]: 'true' }
      for (const version of versions) {
        for (const path of ['/cut/yes', '/picked/yes', '/all/yes']) {
          const told = async (sent: Sent): Promise<string | undefined> => {
            provider.asked.length = provider.askedHttp.length = 0
            assert.equal((await ask(plane, version, path, sent)).status, 200)
            const headers = provider.asked[0]?.attributes?.request?.http?.headers ?? provider.askedHttp[0]!.headers
            return headers['x-envoy-auth-partial-body'] as string | undefined
          }
          for (const [body, isPartial] of Object.entries(bodies))
            for (const isChunked of [false, true])
              for (const headers of [{}, forged])
                assert.equal(
                  await told({ method: 'POST', body, isChunked, headers }),
                  isPartial,
                  `${version} ${path} ${body.length} ${isChunked}`,
                )
          assert.equal(await told({ headers: forged }), undefined, `${version} ${path}: without a body`)
        }
        provider.asked.length = 0
        await ask(plane, version, '/calls/yes', { method: 'POST', body: 'small', headers: forged })
        assert.equal(
          provider.asked[0]!.attributes!.request!.http!.headers['x-envoy-auth-partial-body'],
          undefined,
          'where no body is shown',
        )
      }
    })

  for (const plane of planes)
    test(`${plane}: connections of opaque bytes are asked about before a byte goes on`, async () => {
      provider.asked.length = 0
      isLetOn = true
      assert.equal(await said(ports[plane].tcp), 'hello')
      assert.equal(provider.asked.length, 1)
      const { source, destination, request } = provider.asked[0]!.attributes!
      assert.equal(request?.http, undefined)
      assert.ok(source?.address !== undefined && destination?.address !== undefined)
      isLetOn = false
      assert.equal(await said(ports[plane].tcp), '')
      isLetOn = true
    })
})

type Sent = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly isChunked?: boolean
}

async function overHttp1(port: number, path: string, { method = 'GET', headers = {}, body, isChunked = false }: Sent): Promise<Answer> {
  const length: Record<string, string> = body === undefined || isChunked ? {} : { 'content-length': String(body.length) }
  const request = http.request({ host: '127.0.0.1', port, path, method, agent: false, headers: { host: 'shop', ...headers, ...length } })
  request.on('error', () => {})
  const answered = once(request, 'response') as Promise<[http.IncomingMessage]>
  request.end(body)
  const [response] = await answered
  response.on('error', () => {})
  const text = (await response.toArray().catch(() => [])).join('')
  request.destroy()
  return { status: response.statusCode ?? 0, headers: response.headers, body: text }
}

async function overHttp2(port: number, path: string, { method = 'GET', headers = {}, body }: Sent): Promise<Answer> {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  const { host = 'shop', ...rest } = headers
  try {
    const stream = session.request({ ':path': path, ':method': method, ':authority': host, ...rest }, { endStream: body === undefined })
    stream.on('error', () => {})
    const answered = once(stream, 'response') as Promise<[http2.IncomingHttpHeaders]>
    if (body !== undefined) stream.end(body)
    const [fields] = await answered
    const text = (await stream.toArray().catch(() => [])).join('')
    return { status: Number(fields[':status']), headers: fields as http.IncomingHttpHeaders, body: text }
  } finally {
    session.destroy()
  }
}

async function overGrpc(port: number, path: string): Promise<number> {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  try {
    const stream = session.request({ ':path': path, ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' })
    stream.on('error', () => {})
    stream.end(Buffer.alloc(5))
    const [fields] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    stream.resume()
    return Number(fields['grpc-status'] ?? -1)
  } finally {
    session.destroy()
  }
}

/** What comes back of what is said, before the connection ends. */
function said(port: number): Promise<string> {
  return new Promise(resolve => {
    let heard = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write('hello'))
    socket.on('data', bytes => {
      heard += String(bytes)
      if (heard === 'hello') socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(heard))
  })
}
