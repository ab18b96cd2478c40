import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Route } from '#model/route'
import type { View } from '#model/view'
import type { Inventory, ProxyNode } from '#model/workload'
import { readDocuments } from '#resources/read'
import { admit } from '#resources/validate'
import { compile, lackingIn, viewFor } from '../../compiler.ts'

const folder = join(import.meta.dirname, '../../../test/cases/compiler/logins')
const { resources } = readDocuments(readFileSync(join(folder, 'input.yaml'), 'utf8'), 'input.yaml')
const inventory = JSON.parse(readFileSync(join(folder, 'inventory.json'), 'utf8')) as Inventory
const options = { trustDomain: 'weft.local', roots: ['ROOT'] }
const compiled = () => compile(resources.map(admit), inventory, options)
const routesIn = (routes: View['routes'], table: string, host: string): readonly Route[] =>
  routes[`gateway/shop/web:${table}`]!.hosts.find(each => each.domains[0] === host)!.routes
const routesAt = ({ mesh }: ReturnType<typeof compiled>, table: string, host: string): readonly Route[] =>
  routesIn(mesh.gateways['shop/web']!.routes, table, host)
const gatewayNode: ProxyNode = {
  id: 'web-1.shop',
  workload: 'web-1',
  namespace: 'shop',
  service: 'gateway-web',
  labels: {},
  ports: [],
  probe: { type: 'none' },
  gateway: { name: 'web', address: '127.0.0.1' },
  version: '',
}
const loginsOf = (routes: readonly Route[]) => Object.fromEntries(routes.map(({ name, login }) => [name, login]))
const told = ({ statuses }: ReturnType<typeof compiled>, name: string): string =>
  JSON.stringify(statuses.find(({ kind, name: own }) => kind === 'LoginPolicy' && own === name))

test('the narrowest policy holds: rule, route, listener, Gateway; paths of each go before all routes', () => {
  const outcome = compiled()
  assert.deepEqual(loginsOf(routesAt(outcome, '443/one', 'one.example.org')), {
    'LoginPolicy/shop/admins/redirect': 'shop/admins',
    'LoginPolicy/shop/admins/logout': 'shop/admins',
    'LoginPolicy/shop/people/redirect': 'shop/people',
    'LoginPolicy/shop/people/logout': 'shop/people',
    'HTTPRoute/shop/pages/1': 'shop/admins',
    'HTTPRoute/shop/pages/2': 'shop/people',
    'HTTPRoute/shop/pages/0': 'shop/people',
    'HTTPRoute/shop/pages/3': 'shop/people',
  })
  assert.equal(loginsOf(routesAt(outcome, '443/two', 'two.example.org'))['HTTPRoute/shop/pages/3'], 'shop/second')
})

test('by a clear port nobody gets around a login, and what leads to HTTPS is let be', () => {
  const clear = loginsOf(routesAt(compiled(), '80', '*'))
  assert.equal(clear['HTTPRoute/shop/pages/3'], 'shop/people')
  assert.equal(clear['HTTPRoute/shop/pages/2'], undefined)
})

test('what cannot be carried out is refused by name: clear listeners, Gateways that are not there, routes inside the mesh, secrets, equal paths', () => {
  const outcome = compiled()
  const second = told(outcome, 'second')
  assert.match(second, /listener clear of Gateway shop\/web: who logs in must come by HTTPS/)
  assert.match(second, /Gateway shop\/other does not exist/)
  assert.match(second, /inside the mesh nobody logs in/)
  const admins = told(outcome, 'admins')
  assert.match(admins, /Secret shop\/gone does not exist/)
  assert.match(admins, /the key has 5 bytes: 32 are needed/)
  const people = told(outcome, 'people')
  assert.match(people, /its redirectPath or logoutPath is that of LoginPolicy shop\/admins at host one\.example\.org too/)
})

test('where a proxy of the Gateway is an Envoy such routes are answered 503 by it, and by no other', () => {
  const { mesh } = compiled()
  const node = { ...gatewayNode, isEnvoy: true as const }
  const view = viewFor(mesh, node)
  for (const { name, action, login } of routesIn(view.routes, '443/one', 'one.example.org')) {
    assert.equal(login, undefined, name)
    assert.equal(action.type === 'respond' && action.status, 503, name)
  }
  assert.equal(view.listeners['gateway/443']!.logins, undefined)
  assert.deepEqual(
    [...new Set(lackingIn(view).map(({ what, kind, name }) => `${what} ${kind} ${name}`))],
    ['login LoginPolicy shop/admins', 'login LoginPolicy shop/people', 'login LoginPolicy shop/second'],
  )
  const own = viewFor(mesh, gatewayNode)
  assert.equal(own.listeners['gateway/443']!.logins?.length, 3)
  assert.deepEqual(lackingIn(own), [])
})

test('a JWTPolicy holds for a Gateway, a listener that ends TLS, and its routes alike', () => {
  const token = (name: string, targetRefs: readonly object[]) => ({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'JWTPolicy',
    metadata: { name, namespace: 'shop' },
    spec: { targetRefs, providers: [{ name: 'a', issuer: `https://${name}.example`, jwks: { url: 'https://keys.example/keys' } }] },
  })
  const more = [
    token('wide', [{ kind: 'Gateway', name: 'web' }]),
    token('two', [
      { kind: 'Gateway', name: 'web', sectionName: 'two' },
      { kind: 'Gateway', name: 'web', sectionName: 'clear' },
    ]),
    token('admin', [{ kind: 'HTTPRoute', name: 'pages', sectionName: 'admin' }]),
  ]
  const outcome = compile([...resources, ...(more as typeof resources)].map(admit), inventory, options)
  const tokensOf = (table: string, host: string) =>
    routesAt(outcome, table, host).flatMap(({ name, tokens }) => (name.startsWith('LoginPolicy') ? [] : [tokens]))
  assert.deepEqual(tokensOf('443/one', 'one.example.org'), ['shop/admin', 'shop/wide', 'shop/wide', 'shop/wide'])
  assert.deepEqual(tokensOf('443/two', 'two.example.org'), ['shop/admin', 'shop/two', 'shop/two', 'shop/two'])
  assert.deepEqual(tokensOf('80', '*'), ['shop/admin', 'shop/wide', 'shop/wide', 'shop/wide'])
  const said = JSON.stringify(outcome.statuses.find(({ kind, name }) => kind === 'JWTPolicy' && name === 'two'))
  assert.match(said, /listener clear of Gateway shop\/web: listeners of HTTP share the routes of their port/)
})

test('a policy whose claims stand in headers by which routes are told apart chooses routes, and no other', () => {
  const { logins = [] } = compiled().mesh.gateways['shop/web']!.listeners['gateway/443']!
  assert.deepEqual(
    logins.map(({ name, choosesRoutes }) => [name, choosesRoutes]),
    [
      ['shop/admins', undefined],
      ['shop/people', true],
      ['shop/second', undefined],
    ],
  )
})
