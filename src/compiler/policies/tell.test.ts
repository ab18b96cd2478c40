import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { FieldTold } from '#model/policies-told'
import type { Inventory, Workload } from '#model/workload'
import type { Resource } from '#resources/kind'
import { durationMs } from '#resources/duration'
import { readDocuments } from '#resources/read'
import { admit } from '#resources/validate'
import { compile, tellPolicies, viewFor } from '../../compiler.ts'
import { saysOf, specOf } from './fields.ts'
import { merge, settle } from './merge.ts'

const cases = join(import.meta.dirname, '../../../test/cases/compiler')

function load(name: string) {
  const { resources } = readDocuments(readFileSync(join(cases, name, 'input.yaml'), 'utf8'), `${name}/input.yaml`)
  const inventory = JSON.parse(readFileSync(join(cases, name, 'inventory.json'), 'utf8')) as Inventory & { proxies: readonly string[] }
  return { resources: resources.map(admit), inventory }
}

const compiled = (resources: readonly Resource[], inventory: Inventory) =>
  compile(resources, inventory, { trustDomain: 'weft.local', roots: [] })
const valueOf = (fields: readonly FieldTold[], name: string): unknown => fields.find(({ field }) => field === name)?.value
const ms = (value: unknown): number => (value === 'none' ? 0 : durationMs(value as string))

test('what is told is what the proxy of the client has: timeouts, retries, faults and balancing, in every case of the compiler', () => {
  const balances: Readonly<Record<string, string>> = {
    RoundRobin: 'round-robin',
    Random: 'random',
    LeastRequest: 'least-request',
    PeakEWMA: 'peak-ewma',
    RingHash: 'ring-hash',
    Maglev: 'maglev',
  }
  let compared = 0
  for (const name of readdirSync(cases)) {
    const { resources, inventory } = load(name)
    const outcome = compiled(resources, inventory)
    const clients = inventory.workloads.filter(
      each => each.gateway === undefined && inventory.proxies.includes(`${each.name}.${each.namespace}`),
    )
    for (const client of clients) {
      const view = viewFor(outcome.mesh, nodeOf(client))
      for (const { metadata } of resources.filter(({ kind }) => kind === 'Service')) {
        const from = { name: client.name, namespace: client.namespace }
        const told = tellPolicies(outcome, { service: metadata.name, namespace: metadata.namespace ?? 'default', from })
        for (const port of told?.ports ?? []) {
          const key = `${metadata.namespace ?? 'default'}/${metadata.name}:${port.port}`
          const routes = view.routes[key]?.hosts.flatMap(host => host.routes) ?? []
          assert.deepEqual(
            port.protocol === 'udp' ? [] : port.routes.map(each => each.name),
            port.protocol === 'udp' ? [] : routes.map(each => each.name),
            `${name} ${key}`,
          )
          for (const { name: routeName, fields } of port.protocol === 'udp' ? [] : port.routes) {
            const route = routes.find(each => each.name === routeName)!
            if (route.action.type !== 'forward') continue
            assert.equal(ms(valueOf(fields, 'timeouts.request')), route.timeouts?.requestMs ?? 0, `${name} ${routeName}`)
            assert.equal(ms(valueOf(fields, 'timeouts.try')), route.timeouts?.tryMs ?? 0, `${name} ${routeName}`)
            assert.equal(typeof valueOf(fields, 'retry') === 'object', route.retry !== undefined, `${name} ${routeName}`)
            assert.equal(valueOf(fields, 'fault') !== 'none', route.fault !== undefined, `${name} ${routeName}`)
            compared++
          }
          for (const { backend, calls } of port.backends) {
            const said = valueOf(calls, 'balance') as string | { readonly balance: string }
            assert.equal(balances[typeof said === 'string' ? said : said.balance], view.backends[backend]!.balance, `${name} ${backend}`)
            assert.equal(ms(valueOf(calls, 'connectTimeout')), view.backends[backend]!.connectTimeoutMs)
            const limits = valueOf(calls, 'limits')
            assert.equal(typeof limits === 'object' && Object.keys(limits!).length > 0, view.backends[backend]!.limits !== undefined)
          }
        }
      }
    }
  }
  assert.ok(compared > 100, `${compared} routes compared`)
})

test('a service that is not there, or a port of it, is told as nothing', () => {
  const { resources, inventory } = load('per-client')
  const outcome = compiled(resources, inventory)
  assert.equal(tellPolicies(outcome, { service: 'gone', namespace: 'shop' }), undefined)
  assert.equal(tellPolicies(outcome, { service: 'cart', namespace: 'shop', port: 9 }), undefined)
})

test('only the route is told that a request takes, or that is named', () => {
  const { resources, inventory } = load('policy-layers')
  const outcome = compiled(resources, inventory)
  const request = { method: 'GET', host: 'api', path: '/own/x', search: '', header: () => undefined }
  const names = (more: object) =>
    tellPolicies(outcome, { service: 'api', namespace: 'shop', port: 80, ...more })!.ports[0]!.routes.map(each => each.name)
  assert.deepEqual(names({ request }), ['HTTPRoute/shop/api/1'])
  assert.deepEqual(names({ route: 'api' }).length, 3)
  assert.deepEqual(names({ route: 'other' }), [])
})

test('everybody who is overruled is named, the next narrower first', () => {
  const { resources, inventory } = load('policy-layers')
  const told = tellPolicies(compiled(resources, inventory), { service: 'api', namespace: 'shop', port: 80, route: 'api' })!
  const { by, value, overruled } = told.ports[0]!.routes[1]!.fields.find(({ field }) => field === 'timeouts.request')!
  assert.deepEqual([by, value], ['HTTPRoute shop/api rule 1', '700ms'])
  assert.deepEqual(
    overruled.map(each => each.by),
    ['rule', 'route', 'service', 'shop'].map(each => `RoutePolicy shop/${each}`).concat('RoutePolicy weft-system/all', 'built in'),
  )
})

test('of layers each field is that of the first that says it, whatever the others say', () => {
  const layer = fc.record({ says: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer()) })
  fc.assert(
    fc.property(fc.array(layer, { maxLength: 6 }), layers => {
      const settled = settle(layers)
      for (const field of ['a', 'b', 'c', 'd']) {
        const saying = layers.filter(({ says }) => field in says)
        assert.equal(merge(layers)[field], saying[0]?.says[field])
        assert.equal(settled.get(field)?.by, saying[0])
        assert.deepEqual(settled.get(field)?.overruled ?? [], saying.slice(1))
      }
    }),
  )
})

test('tokens that the called side asks for, and logins and tokens at Gateways that lead to it, are told with who says so', () => {
  const tokens = load('tokens')
  const told = tellPolicies(compiled(tokens.resources, tokens.inventory), { service: 'api', namespace: 'shop', port: 81 })!.ports[0]!
  const field = told.backends.find(({ backend }) => backend === 'shop/api:81')!.taken.find(each => each.field === 'tokens')!
  assert.deepEqual(
    [field.by, field.value, field.overruled.map(({ by }) => by)],
    [
      'JWTPolicy shop/port',
      { issuers: ['https://customers.example', 'https://staff.example'], require: 'Always', whenExpired: 'End' },
      ['JWTPolicy weft-system/all'],
    ],
  )
  const logins = load('logins')
  const outside = tellPolicies(compiled(logins.resources, logins.inventory), { service: 'api', namespace: 'shop' })!.ports[0]!.gateways!
  assert.deepEqual(
    outside.map(({ gateway, origin, fields }) => [
      gateway,
      origin,
      fields.map(({ field, by, overruled }) => [field, by, overruled.length]),
    ]),
    [
      ['shop/web', 'HTTPRoute shop/pages rule 1', [['login', 'LoginPolicy shop/admins', 1]]],
      ['shop/web', 'HTTPRoute shop/pages rule 0', [['login', 'LoginPolicy shop/people', 0]]],
      ['shop/web', 'HTTPRoute shop/pages rule 3', [['login', 'LoginPolicy shop/people', 0]]],
    ],
  )
  const edge = tellPolicies(compiled(tokens.resources, tokens.inventory), { service: 'api', namespace: 'shop', port: 80 })!.ports[0]!
  assert.deepEqual(
    edge.gateways!.map(({ origin, fields }) => [origin, fields.map(({ by }) => by)]),
    [['HTTPRoute shop/edge rule 0', ['JWTPolicy shop/edge']]],
  )
})

test('who is asked about requests is told, at the called side and at Gateways', () => {
  const { resources, inventory } = load('external-authorization')
  const told = (port: number) => tellPolicies(compiled(resources, inventory), { service: 'api', namespace: 'shop', port })!.ports[0]!
  const field = (port: number) =>
    told(port)
      .backends.find(({ backend }) => backend === `shop/api:${port}`)!
      .taken.find(each => each.field === 'externalAuthorization')
  assert.deepEqual([field(80)?.by, field(80)?.value], ['ExternalAuthorizationPolicy weft-system/all', 'asks GRPC Service opa:9191'])
  assert.deepEqual(
    [field(81)?.by, field(81)?.value, field(81)?.overruled.length],
    ['ExternalAuthorizationPolicy shop/port', 'asks HTTP Service weft-system/opa:8181, about some requests, goes on without an answer', 1],
  )
  assert.deepEqual(
    told(80).gateways?.map(({ origin, fields }) => [origin, fields.map(({ value }) => value)]),
    [
      ['HTTPRoute shop/edge rule 0', [['shop/edge', 'HTTPRoute/shop/edge/0']]],
      ['HTTPRoute shop/edge rule 1', [['shop/door']]],
    ],
  )
})

test('the fields of a policy come to the same spec again', () => {
  for (const name of readdirSync(cases))
    for (const resource of load(name).resources.filter(({ kind }) =>
      /^(Route|Backend|Fault|RateLimit|JWT|Login|ExternalAuthorization)Policy$/.test(kind),
    )) {
      const { targetRefs: _, from: __, ...spec } = resource.spec as { readonly targetRefs: unknown; readonly from?: unknown }
      assert.deepEqual(specOf(resource.kind, saysOf(resource)), spec)
    }
})

const nodeOf = ({ name, namespace, service, labels, ports, locality }: Workload) => ({
  id: `${name}.${namespace}`,
  workload: name,
  namespace,
  service,
  labels,
  ports,
  probe: { type: 'none' as const },
  ...(locality === undefined ? {} : { locality }),
  version: '0',
})
