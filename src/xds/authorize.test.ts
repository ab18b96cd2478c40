import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt'
import type { AccessRule } from '#model/access-rule'
import type { Authorizer } from '#model/authorizer'
import type { Listener } from '#model/listener'
import type { Route } from '#model/route'
import { decodeResource } from './decode.ts'
import { encodeAuthorizers } from './encode/authorize.ts'
import { encodeListener } from './encode/listener.ts'
import { encodeRouteTable } from './encode/route.ts'
import { ListenerSchema } from './gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from './gen/envoy/config/route/v3/route_pb.ts'
import { ExtAuthzSchema } from './gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts'
import { HttpConnectionManagerSchema } from './gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { MetadataMatcherSchema } from './gen/envoy/type/matcher/v3/metadata_pb.ts'
import { typeUrls } from './types.ts'

const admin: AccessRule = {
  name: 'shop/opa#0',
  from: [],
  to: [
    [
      { on: 'path', any: [{ type: 'prefix', value: '/admin/' }] },
      { on: 'path', any: [{ type: 'exact', value: '/admin/health' }], not: true },
      { on: 'method', any: [{ type: 'exact', value: 'POST' }] },
    ],
  ],
}
const grpc: Authorizer = {
  name: 'shop/opa',
  backend: 'shop/opa:9191',
  timeoutMs: 300,
  failsOpen: false,
  ask: { type: 'grpc' },
  when: [admin],
}
const some: Authorizer = {
  name: 'shop/some',
  backend: undefined,
  timeoutMs: 1000,
  failsOpen: true,
  ask: { type: 'grpc', headers: ['x-user', 'cookie'] },
  body: { maxBytes: 8192, isCut: true },
}
const http = (toBackend: readonly string[] | 'all'): Authorizer => ({
  name: `shop/http-${toBackend.length}`,
  backend: 'shop/door:80',
  timeoutMs: 250,
  failsOpen: false,
  ask: { type: 'http', prefix: '/check', headers: ['x-team'], toBackend, toCaller: ['x-left'] },
  body: { maxBytes: 10, isCut: false },
})
const inbound: Listener = {
  name: 'inbound/8080',
  direction: 'inbound',
  host: '127.0.0.1',
  port: 15001,
  protocol: 'detect',
  tls: { mode: 'strict' },
  routes: 'inbound/8080',
  backends: [{ backend: 'local/8080', weight: 1 }],
  service: 'cart.shop',
}

const back = (listener: Listener) => decodeResource(typeUrls.listener, listener.name, toBinary(ListenerSchema, encodeListener(listener)))

test('who is asked about requests and connections travels as Envoy has it, and means the same afterwards', () => {
  const listener: Listener = {
    ...inbound,
    authorizers: [grpc, some, http([]), http(['x-user', 'x-role']), http('all')],
    connectionAuthorizer: { name: 'shop/opa', backend: 'shop/opa:9191', timeoutMs: 300, failsOpen: true, ask: { type: 'grpc' } },
  }
  assert.deepEqual(back(listener), { part: { type: 'listener', value: listener } })
  const edge: Listener = { ...inbound, name: 'outbound/x', direction: 'outbound', protocol: 'http', authorizers: [grpc] }
  const { tls: _, backends: __, ...plain } = edge
  assert.deepEqual(back(plain), { part: { type: 'listener', value: plain } })
})

test('a Gateway has the same in each of its chains', () => {
  const { tls: _, backends: __, routes: ___, ...rest } = inbound
  const pair = { cert: 'CERT', key: 'KEY' }
  const listener: Listener = {
    ...rest,
    name: 'gateway/443',
    direction: 'gateway',
    host: '0.0.0.0',
    protocol: 'http',
    authorizers: [http('all')],
    terminates: [
      { names: ['a.test'], certificates: [pair], routes: 'one' },
      { names: ['b.test'], certificates: [pair], routes: 'two' },
    ],
  }
  assert.deepEqual(back(listener), { part: { type: 'listener', value: listener } })
})

test('a body that is to be refused whole is not for Envoys, which let on what ends in its first frame', () => {
  const filters = encodeAuthorizers([some, http([])]).map(({ name }) => name)
  assert.deepEqual(filters, ['envoy.filters.http.ext_authz/shop/some', 'dev.weft.whole-bodies', 'envoy.filters.http.ext_authz/shop/http-0'])
})

test('a route names those who are asked', () => {
  const route: Route = {
    name: 'all',
    origin: 'all',
    match: {},
    filters: [],
    action: { type: 'forward', backends: [{ backend: 'local/8080', weight: 1 }] },
    authorize: ['shop/opa', 'shop/some'],
  }
  const table = { name: 'inbound/8080', hosts: [{ name: '*', domains: ['*'], routes: [route] }] }
  const decoded = decodeResource(typeUrls.route, table.name, toBinary(RouteConfigurationSchema, encodeRouteTable(table)))
  assert.ok('part' in decoded && decoded.part.type === 'route', JSON.stringify(decoded))
  assert.deepEqual(decoded.part.value.hosts[0]!.routes[0]!.authorize, route.authorize)
})

test('what this proxy does not do as Envoy does is refused by name', () => {
  const why = (change: (message: ReturnType<typeof filterOf>) => void, rename = (name: string) => name): string => {
    const listener = encodeListener({ ...inbound, protocol: 'http', authorizers: [some] })
    for (const chain of listener.filterChains)
      for (const filter of chain.filters) {
        if (filter.configType.case !== 'typedConfig') continue
        const manager = anyUnpack(filter.configType.value, HttpConnectionManagerSchema)!
        const own = manager.httpFilters.find(each => each.name.includes('ext_authz'))!
        const message = filterOf(own)
        change(message)
        own.name = rename(own.name)
        own.configType = { case: 'typedConfig', value: anyPack(ExtAuthzSchema, message) }
        filter.configType.value = anyPack(HttpConnectionManagerSchema, manager)
      }
    const decoded = decodeResource(typeUrls.listener, 'inbound/8080', toBinary(ListenerSchema, listener))
    return 'rejected' in decoded ? decoded.rejected : 'taken'
  }
  assert.match(
    why(
      () => {},
      () => 'envoy.filters.http.ext_authz',
    ),
    /carried out where its name is envoy\.filters\.http\.ext_authz\/NAME/,
  )
  assert.match(
    why(message => (message.clearRouteCache = true)),
    /clear_route_cache: not carried out/,
  )
  assert.match(
    why(message => (message.validateMutations = false)),
    /validate_mutations: only true/,
  )
  assert.match(
    why(message => (message.statusOnError = undefined)),
    /status_on_error: only 503/,
  )
  assert.match(
    why(message => (message.decoderHeaderMutationRules!.disallowAll = true)),
    /disallow_all: not carried out/,
  )
  assert.match(
    why(message => (message.filterEnabledMetadata = create(MetadataMatcherSchema, { filter: 'x' }))),
    /filter_enabled_metadata/,
  )
})

function filterOf(filter: { readonly configType: { readonly case?: string | undefined; readonly value?: unknown } }) {
  assert.equal(filter.configType.case, 'typedConfig')
  return anyUnpack(filter.configType.value as never, ExtAuthzSchema)!
}
