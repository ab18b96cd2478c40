/** One file, two data planes: what the control plane writes for copies, CORS, faults, limits, answers, rewrites, compression and sizes is carried out alike by Weft and by Envoy. */

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { create, type JsonValue, toJson } from '@bufbuild/protobuf'
import { fetchEnvoy } from '../../bench/peers/envoy-binary.ts'
import { program } from '../../bench/peer.ts'
import { usualCompressible } from '../../src/model/compression.ts'
import type { Route } from '../../src/model/route.ts'
import { httpFiltersOf, perRoute } from '../../src/xds/encode/per-route.ts'
import { encodeRouteTable } from '../../src/xds/encode/route.ts'
import { registry } from '../../src/xds/file/registry.ts'
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.ts'
import {
  HttpConnectionManagerSchema,
  HttpFilterSchema,
} from '../../src/xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { startEnvoy } from '../harness/envoy-process.ts'
import { startFileProxy } from '../harness/file-proxy.ts'
import { freePort } from '../harness/machine.ts'
import { client, type Version, type Workload, workload } from '../harness/versions.ts'

const cached = existsSync(join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft', 'bench', 'envoy-1.40.0'))
const mayFetch = process.env['WEFT_TEST_FETCH'] === '1'
const found =
  program('envoy') !== undefined || cached || mayFetch ? await fetchEnvoy() : { missing: 'Envoy is not here: WEFT_TEST_FETCH=1 fetches it' }

const million = 1_000_000
const at = (path: string, more: Partial<Route>): Route => ({
  name: path,
  origin: path,
  match: { path: { type: 'prefix', value: path } },
  filters: [],
  action: { type: 'forward', backends: [{ backend: 'app', weight: 1 }] },
  ...more,
})
const limit = (name: string) => ({ name, requests: 5, intervalMs: 3_600_000, burst: 5 })
const routes: readonly Route[] = [
  at('/part', { fault: { policy: 'p', abort: { type: 'http', status: 503, share: 300_000 } } }),
  at('/grpc', { fault: { policy: 'p', abort: { type: 'grpc', status: 8, share: million } } }),
  at('/late', { fault: { policy: 'p', delay: { ms: 300, share: million } } }),
  at('/limit-1', { rateLimit: limit('one') }),
  at('/limit-2', { rateLimit: limit('two') }),
  at('/limit-grpc', { rateLimit: limit('grpc') }),
  at('/copied', { mirrors: [{ backend: 'shadow', share: million }] }),
  at('/pages', {
    cors: {
      origins: [{ type: 'regex', value: 'https://[^:/]+\\.shop\\.example' }],
      credentials: true,
      methods: ['GET', 'PUT'],
      headers: ['X-Cart'],
      expose: ['X-Total'],
      maxAgeS: 600,
    },
  }),
  at('/answer', {
    filters: [
      {
        type: 'response-headers',
        change: {
          set: [
            { name: 'content-type', value: 'application/json' },
            { name: 'retry-after', value: '90' },
          ],
          add: [],
          remove: [],
        },
      },
    ],
    action: { type: 'respond', status: 503, detail: `{"closed":"${'x'.repeat(5000)}"}` },
  }),
  at('/service', {
    filters: [
      {
        type: 'rewrite',
        path: { type: 'regex', pattern: '^/service/([^/]+)(/.*)$', substitution: '\\2/instance/\\1' },
        host: { type: 'path', pattern: '^/service/([^/]+)/.*$', substitution: '\\1.example' },
      },
    ],
  }),
  at('/tenant', { filters: [{ type: 'rewrite', host: { type: 'header', name: 'x-tenant' } }] }),
  at('/coded', { compression: { answers: { codings: ['zstd', 'br', 'gzip'], ...usualCompressible } } }),
  at('/small', { sizes: { bodyBytes: 1000 } }),
  at('/line', { fault: { policy: 'p', bandwidth: { share: million, answersBps: 10_240 } } }),
]
const json = JSON.stringify(Array.from({ length: 500 }, (_, id) => ({ id, says: 'the same as before' })))

describe('the same file for Weft and for Envoy', { skip: 'missing' in found ? found.missing : false, timeout: 120_000 }, () => {
  let app: Workload
  let shadow: Workload
  let folder: string
  let copies: string[] = []
  const ports: Record<string, number> = {}
  const ends: (() => Promise<unknown>)[] = []

  before(async () => {
    const answer = (seen: (line: string) => void) =>
      workload('http1', (ask, reply) => {
        let bytes = 0
        ask.on('data', (part: Buffer) => (bytes += part.length))
        ask.on('end', () => {
          seen(`${ask.method} ${ask.url} ${ask.headers.host} ${bytes}`)
          if (ask.url === '/coded')
            return reply.writeHead(200, { 'content-type': 'application/json', 'content-length': json.length, etag: '"v1"' }).end(json)
          if (ask.url === '/line') return reply.end(Buffer.alloc(10_240))
          reply.end(ask.url?.startsWith('/v1') || ask.url?.startsWith('/tenant') ? `${ask.url} ${ask.headers.host}` : 'app')
        })
      })
    app = await answer(() => {})
    shadow = await answer(line => copies.push(line))
    folder = mkdtempSync(join(tmpdir(), 'weft-envoy-'))
    const file = (name: string, port: number) => {
      const path = join(folder, `${name}.json`)
      writeFileSync(path, JSON.stringify(bootstrap(port)))
      return path
    }
    const weft = await startFileProxy(file('weft', 0))
    ends.push(() => weft.stop())
    ports['Weft'] = weft.port
    ports['Envoy'] = await freePort()
    const envoy = await startEnvoy((found as { binary: string }).binary, file('envoy', ports['Envoy']), [ports['Envoy']])
    ends.push(() => envoy.stop())
  })
  after(async () => {
    for (const end of ends) await end()
    await app?.[Symbol.asyncDispose]()
    await shadow?.[Symbol.asyncDispose]()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  function bootstrap(port: number): JsonValue {
    const cluster = (name: string, to: number): JsonValue => ({
      name,
      connect_timeout: '2s',
      load_assignment: {
        cluster_name: name,
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: to } } } }] }],
      },
    })
    const table = encodeRouteTable({ name: 'front', hosts: [{ name: 'all', domains: ['*'], routes: [...routes, at('/', {})] }] })
    // Those of other features ask nothing here.
    const own: readonly string[] = [
      perRoute.cors,
      perRoute.fault,
      perRoute.rateLimit,
      perRoute.buffer,
      perRoute.gzip,
      perRoute.br,
      perRoute.zstd,
    ]
    const filters = httpFiltersOf('gateway')
      .filter(({ name }) => own.includes(name))
      .map(filter => toJson(HttpFilterSchema, create(HttpFilterSchema, filter), { registry }))
    const manager = {
      '@type': `type.googleapis.com/${HttpConnectionManagerSchema.typeName}`,
      stat_prefix: 'front',
      route_config: toJson(RouteConfigurationSchema, table, { registry }),
      http_filters: [
        ...filters,
        { name: 'router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } },
      ],
    }
    return {
      static_resources: {
        listeners: [
          {
            name: 'front',
            address: { socket_address: { address: '127.0.0.1', port_value: port } },
            filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
          },
        ],
        clusters: [cluster('app', app.port), cluster('shadow', shadow.port)],
      },
    }
  }

  const calls = { method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' }, body: Buffer.alloc(5) }
  /** gRPC alone has statuses in answers without a body. */
  const grpcStatus = (answer: {
    readonly headers: Readonly<Record<string, unknown>>
    readonly trailers: Readonly<Record<string, unknown>>
  }) => String(answer.headers['grpc-status'] ?? answer.trailers['grpc-status'])

  for (const plane of ['Weft', 'Envoy'])
    for (const version of ['http1', 'http2'] as const satisfies Version[])
      test(`${plane} does what the routes ask (${version})`, async () => {
        using caller = client(version, ports[plane]!)
        const times = async (count: number, path: string) => {
          const tally: Record<string, number> = {}
          for (let left = count; left > 0; left--) {
            const { status } = await caller.ask(path)
            tally[status] = (tally[status] ?? 0) + 1
          }
          return tally
        }
        const part = await times(400, '/part')
        // Five standard deviations: √(400 · 0.3 · 0.7) = 9.2.
        assert.ok(Math.abs((part['503'] ?? 0) - 120) < 46 && (part['200'] ?? 0) + (part['503'] ?? 0) === 400, JSON.stringify(part))

        const began = performance.now()
        assert.equal((await caller.ask('/late')).status, 200)
        assert.ok(performance.now() - began >= 295)

        assert.deepEqual(await times(8, version === 'http1' ? '/limit-1' : '/limit-2'), { 200: 5, 429: 3 })

        copies = []
        assert.equal((await caller.ask('/copied', { method: 'POST', body: Buffer.alloc(50_000) })).body.toString(), 'app')
        await arrives(() => copies.length === 1)
        assert.deepEqual(copies, ['POST /copied web 50000'])

        const preflight = await caller.ask('/pages', {
          method: 'OPTIONS',
          headers: { origin: 'https://www.shop.example', 'access-control-request-method': 'PUT' },
        })
        assert.equal(preflight.status, 200)
        assert.deepEqual(
          ['origin', 'credentials', 'methods', 'headers'].map(name => String(preflight.headers[`access-control-allow-${name}`])),
          ['https://www.shop.example', 'true', 'GET, PUT', 'X-Cart'],
        )
        assert.equal(preflight.headers['access-control-max-age'], '600')
        const actual = await caller.ask('/pages', { headers: { origin: 'https://www.shop.example' } })
        assert.equal(actual.headers['access-control-allow-origin'], 'https://www.shop.example')
        assert.equal(actual.headers['access-control-expose-headers'], 'X-Total')
        const foreign = await caller.ask('/pages', {
          method: 'OPTIONS',
          headers: { origin: 'https://evil.example', 'access-control-request-method': 'PUT' },
        })
        assert.equal(foreign.status, 200)
        assert.equal(foreign.headers['access-control-allow-origin'], undefined)
      })

  for (const plane of ['Weft', 'Envoy'])
    for (const version of ['http1', 'http2'] as const satisfies Version[])
      test(`${plane} answers itself, rewrites by expressions, compresses and bounds as the routes ask (${version})`, async () => {
        using caller = client(version, ports[plane]!)
        const closed = await caller.ask('/answer')
        assert.deepEqual(
          [closed.status, closed.headers['content-type'], closed.headers['retry-after'], closed.body.length],
          [503, 'application/json', '90', 5013],
        )
        const said = async (path: string, headers = {}) => (await caller.ask(path, { headers })).body.toString()
        assert.equal(await said('/service/foo/v1/api'), '/v1/api/instance/foo foo.example')
        assert.equal(await said('/service/foo/v1'), '/v1/instance/foo foo.example')
        assert.equal(await said('/tenant', { 'x-tenant': 'acme.example' }), '/tenant acme.example')
        assert.equal(await said('/tenant'), '/tenant web')

        // Envoy takes a strong tag away where we make it a weak one; both are allowed.
        const decoders = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync }
        for (const coding of ['gzip', 'br', 'zstd'] as const) {
          const { headers, body } = await caller.ask('/coded', { headers: { 'accept-encoding': coding } })
          assert.deepEqual(
            [headers['content-encoding'], String(headers['vary']).toLowerCase(), headers['etag']],
            [coding, 'accept-encoding', plane === 'Weft' ? 'W/"v1"' : undefined],
          )
          assert.equal(decoders[coding](body).toString(), json)
        }
        const plain = await caller.ask('/coded', { headers: { 'accept-encoding': 'identity' } })
        assert.deepEqual([plain.headers['content-encoding'], plain.body.toString()], [undefined, json])

        assert.equal((await caller.ask('/small', { method: 'POST', body: Buffer.alloc(1000) })).status, 200)
        // Envoy looks at what it holds: what ends with its first frame passes it.
        for (const bytes of plane === 'Weft' ? [1001, 100_000] : [100_000]) {
          using other = client(version, ports[plane]!)
          assert.equal((await other.ask('/small', { method: 'POST', body: Buffer.alloc(bytes) })).status, 413)
        }

        const began = performance.now()
        assert.equal((await caller.ask('/line')).body.length, 10_240)
        const ms = performance.now() - began
        assert.ok(ms > 700 && ms < 5000, `${ms} ms`)
      })

  for (const plane of ['Weft', 'Envoy'])
    test(`${plane} gives calls of gRPC a status of gRPC`, async () => {
      using caller = client('http2', ports[plane]!)
      const aborted = await caller.ask('/grpc/x', calls)
      assert.deepEqual([aborted.status, grpcStatus(aborted)], [200, '8'])
      const part: string[] = []
      for (let left = 7; left > 0; left--) part.push(grpcStatus(await caller.ask('/limit-grpc/x', calls)))
      assert.deepEqual(part.slice(5), ['8', '8'])
    })
})

async function arrives(holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!holds() && Date.now() < end) await new Promise(done => setTimeout(done, 10))
}
