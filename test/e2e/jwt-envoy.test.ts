/** One file, two data planes: tokens good and hostile get the same verdict of our proxy and of Envoy, and nothing of a refused request is forwarded. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { create, type JsonValue, toJson } from '@bufbuild/protobuf'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import { pinnedKeys } from '../../src/model/jwks.ts'
import { wholeClaims } from '../../src/model/claim-headers.ts'
import type { Route } from '../../src/model/route.ts'
import type { TokenPolicy } from '../../src/model/token.ts'
import { httpFiltersOf } from '../../src/xds/encode/per-route.ts'
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
import { type Workload, workload } from '../harness/versions.ts'
import { audience, type Case, cases, issuer, keySet, token } from './jwt/cases.ts'

const program = presentEnvoy()
const planes = ['weft', ...(program === undefined ? [] : ['envoy' as const])] as const
type Plane = 'weft' | 'envoy'
const versions = ['http1', 'http2', 'grpc'] as const
type Version = (typeof versions)[number]

const policy = (name: string, isRequired: boolean): TokenPolicy => ({
  name,
  isRequired,
  issuers: [
    {
      name: 'staff',
      issuer,
      audiences: [audience],
      keys: {
        type: 'inline',
        jwks: JSON.stringify({ keys: pinnedKeys(JSON.stringify(keySet), ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256']) }),
      },
      from: [
        { type: 'header', name: 'authorization', prefix: 'Bearer ' },
        { type: 'query', name: 'token' },
        { type: 'cookie', name: 'session' },
      ],
      forward: false,
      claimsToHeaders: [
        { claim: 'sub', header: 'x-user' },
        { claim: 'realm.name', header: 'x-realm' },
      ],
      skewMs: 60_000,
    },
  ],
})
/** Such as the compiler makes where a ConfigMap is missing. */
const keyless: TokenPolicy = {
  name: 'shop/keyless',
  isRequired: true,
  issuers: [{ ...policy('', true).issuers[0]!, keys: { type: 'inline', jwks: '{"keys":[]}' } }],
}
const fetching = (port: number): TokenPolicy => ({
  name: 'shop/url',
  isRequired: true,
  issuers: [
    {
      ...policy('', true).issuers[0]!,
      keys: {
        type: 'url',
        url: `http://127.0.0.1:${port}/keys`,
        backend: 'keys',
        refreshMs: 60_000,
        timeoutMs: 2000,
        algorithms: ['RS256'],
      },
    },
  ],
})
const tiers: TokenPolicy = {
  name: 'shop/tiers',
  isRequired: true,
  issuers: [{ ...policy('', true).issuers[0]!, claimsToHeaders: [{ claim: 'tier', header: 'x-tier' }] }],
  choosesRoutes: true,
}
const fixed = [tiers, policy('shop/all', true), policy('shop/some', false), keyless]
const admins = {
  name: 'shop/admins#0',
  from: [[{ on: 'claim', path: ['groups'], any: [{ type: 'exact', value: 'admin' }] }]],
  to: [],
} as const
const userIs = (value: string) =>
  ({ name: 'shop/users#0', from: [], to: [[{ on: 'header', name: 'x-user', any: [{ type: 'exact', value }] }]] }) as const
const adding = (value: string) =>
  ({ type: 'request-headers', change: { set: [{ name: 'x-chosen', value }], add: [], remove: [] } }) as const
const at = (path: string, more: Partial<Route>): Route => ({
  name: path,
  origin: path,
  match: { path: { type: 'prefix', value: path } },
  filters: [],
  action: { type: 'forward', backends: [{ backend: 'app', weight: 1 }] },
  ...more,
})
const routes: readonly Route[] = [
  at('/some', { tokens: 'shop/some' }),
  at('/by-ann', { tokens: 'shop/some', access: wholeClaims({ deny: [], allow: [userIs('ann')] }, new Set(['x-user'])) }),
  at('/by-root', { tokens: 'shop/all', access: { deny: [], allow: [userIs('root')] } }),
  at('/keyless', { tokens: 'shop/keyless' }),
  at('/tier', {
    name: '/tier gold',
    tokens: 'shop/tiers',
    match: { path: { type: 'prefix', value: '/tier' }, headers: [{ name: 'x-tier', type: 'exact', value: 'gold' }] },
    filters: [adding('gold')],
  }),
  at('/tier', { tokens: 'shop/tiers', filters: [adding('others')] }),
  at('/url', { tokens: 'shop/url' }),
  at('/free', { tokens: 'shop/all' }),
  at('/', { tokens: 'shop/all', access: { deny: [], allow: [admins] } }),
]

type Answer = {
  readonly status: number
  readonly code: string
  readonly challenge: string
  readonly seen: Readonly<Record<string, string>>
}

describe('tokens, in two data planes', { timeout: 120_000 }, () => {
  let app: Workload
  let folder: string
  let arrived = 0
  const ports: Record<Plane, number> = { weft: 0, envoy: 0 }
  const ends: (() => Promise<unknown>)[] = []

  before(async () => {
    app = await workload('http1', (ask, reply) => {
      if (ask.url === '/keys') return reply.end(JSON.stringify(keySet))
      arrived++
      ask.resume()
      reply.end(JSON.stringify({ ...ask.headers, ':path': ask.url }))
    })
    folder = mkdtempSync(join(tmpdir(), 'weft-jwt-'))
    const file = (name: string, port: number) => {
      const path = join(folder, `${name}.json`)
      writeFileSync(path, JSON.stringify(bootstrap(port)))
      return path
    }
    const weft = await startFileProxy(file('weft', 0))
    ends.push(() => weft.stop())
    ports.weft = weft.port
    if (program === undefined) return
    ports.envoy = await freePort()
    const envoy = await startEnvoy(program, file('envoy', ports.envoy), [ports.envoy])
    ends.push(() => envoy.stop())
  })
  after(async () => {
    for (const end of ends) await end()
    await app?.[Symbol.asyncDispose]()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  function bootstrap(port: number): JsonValue {
    const own = ['envoy.filters.http.jwt_authn', 'envoy.filters.http.rbac.deny', 'envoy.filters.http.rbac.allow']
    const filters = httpFiltersOf('inbound', [...fixed, fetching(app.port)])
      .filter(({ name }) => own.includes(name))
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
    const address = (to: number): JsonValue => ({ socket_address: { address: '127.0.0.1', port_value: to } })
    return {
      static_resources: {
        listeners: [
          {
            name: 'front',
            traffic_direction: 'INBOUND',
            address: address(port),
            filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
          },
        ],
        clusters: ['app', 'keys'].map(name => ({
          name,
          connect_timeout: '2s',
          load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(app.port) } }] }] },
        })),
      },
    }
  }

  const ask = (plane: Plane, version: Version, lines: readonly string[], path = '/'): Promise<Answer> =>
    version === 'http1' ? overHttp1(ports[plane], lines, path) : overHttp2(ports[plane], lines, path, version === 'grpc')

  test('the table of tokens', async t => {
    for (const each of await cases())
      for (const plane of planes)
        await t.test(`${each.name}: ${plane}`, async () => {
          for (const version of each.isHttp1 === true ? (['http1'] as const) : versions) {
            const before = arrived
            const { status, code, challenge } = await ask(plane, version, each.lines, each.path)
            const wanted = wantedOf(each, plane)
            // The workload speaks HTTP/1.1, so that of calls of gRPC only refusals are looked at.
            if (version === 'grpc' && wanted === 200) continue
            assert.equal(status, version === 'grpc' ? grpcOf(wanted) : wanted, `${version}: ${JSON.stringify({ status, code })}`)
            if (plane === 'weft') assert.equal(code, each.weft === 'ok' ? '' : each.weft, version)
            if (wanted === 401 && version !== 'grpc') assert.match(challenge, /^Bearer/, version)
            assert.equal(arrived - before, wanted === 200 ? 1 : 0, `${version}: what arrived`)
          }
        })
  })

  for (const plane of planes)
    test(`${plane}: keys by URL are asked for where they are`, async () => {
      const good = ['authorization', `Bearer ${await token()}`]
      for (const end = Date.now() + 10_000; (await ask(plane, 'http1', good, '/url')).status !== 200 && Date.now() < end; )
        await new Promise(resolve => setTimeout(resolve, 50))
      assert.equal((await ask(plane, 'http2', good, '/url')).status, 200)
      assert.equal((await ask(plane, 'http1', [], '/url')).status, 401)
      assert.equal(
        (await ask(plane, 'http1', ['authorization', `Bearer ${await token({}, { header: { kid: 'gone' } })}`], '/url')).status,
        401,
      )
    })

  test('without keys no token is taken', async () => {
    const good = ['authorization', `Bearer ${await token()}`]
    const before = arrived
    const { status, code } = await ask('weft', 'http1', good, '/keyless')
    assert.deepEqual([status, code], [503, 'keys-unavailable'])
    if (program !== undefined) assert.equal((await ask('envoy', 'http1', good, '/keyless')).status, 401)
    assert.equal(arrived, before)
  })

  test('a bad token is called so to the caller, by RFC 6750, and a missing one not', async () => {
    const bad = await ask('weft', 'http1', ['authorization', 'Bearer a.b.c'])
    assert.match(bad.challenge, /^Bearer realm="[^"]*", error="invalid_token", error_description="[^"]+"$/)
    assert.match((await ask('weft', 'http1', [])).challenge, /^Bearer realm="[^"]*"$/)
  })

  for (const plane of planes)
    test(`${plane}: the workload gets claims, not the token, and no claim that a caller made up`, async () => {
      const good = await token({ sub: 'ann', realm: { name: 'north' } })
      const lies = ['x-user', 'root', 'X-USER', 'root', 'x-realm', 'root']
      for (const version of ['http1', 'http2'] as const) {
        const { seen } = await ask(
          plane,
          version,
          ['authorization', `Bearer ${good}`, ...(version === 'http1' ? lies : ['x-user', 'root'])],
          '/free/a?b=c',
        )
        assert.deepEqual(
          [seen['x-user'], seen['x-realm'], seen['authorization'], seen[':path']],
          ['ann', 'north', undefined, '/free/a?b=c'],
          version,
        )
      }
      const { seen } = await ask(plane, 'http1', lies, '/some')
      // Envoy takes them out only where there is a token.
      if (plane === 'weft') assert.deepEqual([seen['x-user'], seen['x-realm']], [undefined, undefined])
    })

  for (const plane of planes)
    test(`${plane}: rules that name such a header see the claim, and not what a caller wrote`, async () => {
      const ann = ['authorization', `Bearer ${await token({ sub: 'ann' })}`]
      for (const version of ['http1', 'http2'] as const) {
        assert.equal((await ask(plane, version, [...ann, 'x-user', 'root'], '/by-root')).status, 403, version)
        assert.equal((await ask(plane, version, [...ann, 'x-user', 'root'], '/by-ann')).status, 200, version)
      }
      const several = ['authorization', `Bearer ${await token({ sub: 'bob, ann' })}`]
      assert.equal((await ask(plane, 'http1', several, '/by-ann')).status, 403, 'one who has a comma in his name')
      assert.equal((await ask(plane, 'http1', several, '/free')).seen['x-user'], 'bob, ann')
      if (plane === 'weft') assert.equal((await ask(plane, 'http1', ['x-user', 'ann'], '/by-ann')).status, 403, 'without a token')
    })

  test('what the workload could take for such a header is taken out too, and a token in the query or a cookie', async () => {
    const good = await token()
    const { seen } = await ask(
      'weft',
      'http1',
      ['cookie', `a=1; session=${good}; b=2`, 'X_User', 'root', 'x_realm', 'root', 'X.User', 'root', "X'User", 'root'],
      '/free',
    )
    assert.deepEqual([seen['x.user'], seen["x'user"]], [undefined, undefined])
    assert.deepEqual([seen['x_user'], seen['x_realm'], seen['x-user'], seen['cookie']], [undefined, undefined, 'ann', 'a=1; b=2'])
    const query = await ask('weft', 'http1', [], `/free?a=%20&tok%65n=${good}&b`)
    assert.deepEqual([query.status, query.seen[':path']], [200, '/free?a=%20&b'])
  })

  for (const plane of planes)
    test(`${plane}: a route is chosen by a claim that stands in a header, and not by what a caller writes there`, async () => {
      const gold = ['authorization', `Bearer ${await token({ tier: 'gold' })}`]
      const none = ['authorization', `Bearer ${await token()}`]
      for (const version of ['http1', 'http2'] as const) {
        const chosen = async (...lines: readonly string[]) => (await ask(plane, version, lines, '/tier')).seen['x-chosen']
        assert.deepEqual(
          [await chosen(...gold), await chosen(...gold, 'x-tier', 'none'), await chosen(...none)],
          ['gold', 'gold', 'others'],
          version,
        )
        assert.equal(await chosen(...none, 'x-tier', 'gold'), 'others', version)
        assert.equal((await ask(plane, version, ['x-tier', 'gold'], '/tier')).status, 401, version)
      }
    })

  for (const plane of planes)
    test(`${plane}: where a token may be missing, one that is there must be good`, async () => {
      assert.equal((await ask(plane, 'http1', [], '/some')).status, 200)
      assert.equal((await ask(plane, 'http1', ['authorization', 'Bearer a.b.c'], '/some')).status, 401)
      assert.equal((await ask(plane, 'http1', ['authorization', `Bearer ${await token()}`], '/some')).status, 200)
    })
})

const grpcOf = (status: number): number => ({ 200: 0, 401: 16, 403: 7 })[status] ?? -1

function wantedOf({ weft, envoy }: Case, plane: Plane): number {
  const own = weft === 'ok' ? 200 : weft === 'access-denied' ? 403 : 401
  return plane === 'envoy' ? (envoy ?? own) : own
}

async function overHttp1(port: number, lines: readonly string[], path: string): Promise<Answer> {
  const request = http.request({
    host: '127.0.0.1',
    port,
    path,
    agent: false,
    headers: ['host', 'shop', ...lines] as never,
    maxHeaderSize: 65_536,
  })
  request.end()
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  const body = (await response.toArray()).join('')
  const { headers, statusCode = 0 } = response
  return {
    status: statusCode,
    code: String(headers['x-weft-error'] ?? ''),
    challenge: String(headers['www-authenticate'] ?? ''),
    seen: statusCode === 200 ? (JSON.parse(body) as Record<string, string>) : {},
  }
}

async function overHttp2(port: number, lines: readonly string[], path: string, isGrpc: boolean): Promise<Answer> {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  const fields: Record<string, string> = {}
  for (let i = 0; i < lines.length; i += 2) fields[lines[i]!] = lines[i + 1]!
  const grpc = isGrpc ? { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' } : {}
  try {
    const stream = session.request({ ':path': path, ...grpc, ...fields })
    stream.end(isGrpc ? Buffer.alloc(5) : undefined)
    let trailers: http2.IncomingHttpHeaders = {}
    stream.on('trailers', given => (trailers = given))
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    const body = (await stream.toArray()).join('')
    const status = isGrpc ? Number(headers['grpc-status'] ?? trailers['grpc-status'] ?? 0) : Number(headers[':status'])
    return {
      status,
      code: String(headers['x-weft-error'] ?? ''),
      challenge: String(headers['www-authenticate'] ?? ''),
      seen: !isGrpc && status === 200 ? (JSON.parse(body) as Record<string, string>) : {},
    }
  } finally {
    session.close()
  }
}
