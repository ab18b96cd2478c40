import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CallSeen } from '#api/mesh-api'
import type { Resource } from '#resources/kind'
import { readQuestion } from '../explain/question.ts'
import { flipsOf } from '../commands/rehearse.ts'
import { workloadsWithout } from './inventory.ts'
import { withDocuments } from './live.ts'
import { World } from './world.ts'

const service = (name: string, port: object = {}): Resource => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'shop' },
  spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080, appProtocol: 'http', ...port }] },
})
const document = (kind: string, name: string, spec: object, namespace = 'shop'): Resource => ({
  apiVersion: kind === 'HTTPRoute' || kind === 'Gateway' ? 'gateway.networking.k8s.io/v1' : 'weft.dev/v1alpha1',
  kind,
  metadata: { name, ...(kind === 'Mesh' ? {} : { namespace }) },
  spec,
})
const worldOf = (resources: readonly Resource[], planned: Parameters<typeof workloadsWithout>[1] = []) =>
  new World(resources, { trustDomain: 'weft.local', workloads: workloadsWithout(resources, planned, 'weft.local', 'shop'), now: 0 })
const ask = (world: World, from: string, to: string, ...words: readonly string[]) =>
  world.ask(readQuestion({ to, words, headers: [] }).question, world.callerOf(from, 'shop')!)

test('documents alone are a mesh: Services without workloads have one, with the identity of their label', () => {
  const allow = document('AccessPolicy', 'callers', { targetRefs: [{ name: 'cart' }], rules: [{ from: [{ serviceAccounts: ['web'] }] }] })
  const world = worldOf([service('web'), service('cart'), allow], [{ service: 'job', serviceAccount: 'web' }])
  assert.deepEqual(world.refusals, [])
  assert.deepEqual(ask(world, 'web', 'cart'), {
    verdict: 'Allow',
    by: 'shop/callers/0',
    says: 'rule 0 of AccessPolicy shop/callers allows it',
    route: 'Service shop/cart port 80',
    backends: ['cart.shop'],
  })
  assert.equal(ask(world, 'job', 'cart').verdict, 'Allow')
  assert.deepEqual([ask(world, 'cart', 'cart').verdict, ask(world, 'cart', 'cart').by], ['Deny', undefined])
  assert.equal(ask(world, 'spiffe://weft.local/ns/far/sa/web', 'cart.shop').verdict, 'Deny')
  assert.equal(ask(world, 'web', 'nobody').verdict, 'no-listener')
  assert.equal(world.callerOf('nobody', 'shop'), undefined)
})

test('redirects are answers, and endpoints that disagree are told as mixed', () => {
  const redirect = document('HTTPRoute', 'moved', {
    parentRefs: [{ group: '', kind: 'Service', name: 'cart' }],
    rules: [{ filters: [{ type: 'RequestRedirect', requestRedirect: { statusCode: 301, hostname: 'else.example' } }] }],
  })
  assert.equal(ask(worldOf([service('web'), service('cart'), redirect]), 'web', 'cart').verdict, 'Answer')
  const some = document('AccessPolicy', 'some', {
    targetRefs: [{ kind: 'Workload', labels: { tier: 'closed' } }],
    rules: [{ from: [{ serviceAccounts: ['nobody'] }] }],
  })
  const ports = [{ port: 8080, name: 'http' }]
  const planned = [
    { service: 'cart', ports },
    { service: 'cart', labels: { tier: 'closed' }, ports },
  ].map((each, at) => ({ ...each, serviceAccount: `cart-${at}` }))
  assert.equal(ask(worldOf([service('web'), service('cart'), some], planned), 'web', 'cart').verdict, 'Mixed')
})

test('what flips is told by verdict, route and backends; another policy that allows the same is no flip', () => {
  const at = '2026-01-01T00:00:00Z'
  const call: CallSeen = {
    service: 'cart.shop',
    identity: 'spiffe://weft.local/ns/shop/sa/web',
    port: 8080,
    protocol: 'http',
    method: 'GET',
    path: '/items/*',
    outcome: 'allowed',
    count: 1,
    firstAt: at,
    lastAt: at,
  }
  const plain: CallSeen = { ...call, identity: '' }
  const world = worldOf([service('web'), service('cart'), service('next')])
  const flips = (...documents: readonly Resource[]) =>
    flipsOf(world, withDocuments(world, documents, 0), [call, plain]).map(each => [
      each.call.identity === '' ? 'plain' : 'web',
      each.before?.verdict,
      each.after?.verdict,
      each.after?.backends.join(),
    ])
  const rules = [{ from: [{ serviceAccounts: ['web'] }] }]
  assert.deepEqual(flips(), [])
  assert.deepEqual(flips(document('AccessPolicy', 'callers', { targetRefs: [{ name: 'cart' }], rules })), [['plain', 'Allow', 'Deny', '']])
  assert.deepEqual(flips(document('Mesh', 'default', { access: { default: 'Deny' } })), [
    ['web', 'Allow', 'Deny', 'cart.shop'],
    ['plain', 'Allow', 'Deny', ''],
  ])
  const strict = document('Mesh', 'default', { mtls: { mode: 'strict' } })
  const parentRefs = [{ group: '', kind: 'Service', name: 'cart' }]
  const split = [
    { name: 'cart', port: 80, weight: 9 },
    { name: 'next', port: 80 },
  ]
  assert.deepEqual(flips(document('HTTPRoute', 'split', { parentRefs, rules: [{ backendRefs: split }] })), [
    ['web', 'Allow', 'Allow', 'cart.shop,next.shop'],
  ])
  // A caller without an identity is not let in any more.
  assert.deepEqual(
    flips(strict).map(([who]) => who),
    ['plain'],
  )
})

test('rules with times and networks are asked for the moment and the address of the question, else for the moment of the world', () => {
  const office = document('AccessPolicy', 'office', {
    targetRefs: [{ name: 'cart' }],
    rules: [
      {
        from: [{ ipBlocks: ['10.0.0.0/8'] }],
        when: [{ days: ['Thu'], from: '09:00', to: '17:00', timeZone: 'Europe/Berlin' }],
      },
    ],
  })
  const world = worldOf([service('web'), service('cart'), office])
  const verdict = (address?: string, at?: string): string =>
    world.ask(readQuestion({ to: 'cart', words: [], headers: [], address, at }).question, world.callerOf('web', 'shop')!).verdict
  assert.equal(verdict('10.0.0.7', '2026-12-24T08:00:00Z'), 'Allow')
  assert.equal(verdict('10.0.0.7', '2026-12-24T16:00:00Z'), 'Deny')
  assert.equal(verdict('11.0.0.7', '2026-12-24T08:00:00Z'), 'Deny')
  assert.equal(verdict(undefined, '2026-12-24T08:00:00Z'), 'Deny')
  // A Thursday too, at one in the morning there.
  assert.equal(verdict('10.0.0.7'), 'Deny')
  assert.equal(world.unseen, 1)
})

test('a call from another trust domain is denied until a policy names that, also where its roots are not known', () => {
  const domain: Resource = {
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'TrustDomain',
    metadata: { name: 'partner' },
    spec: { trustDomain: 'partner.test', bundleEndpoint: { url: 'https://partner.test/' } },
  }
  const verdict = (...rules: readonly object[]) => {
    const world = worldOf([service('cart'), domain, document('AccessPolicy', 'p', { targetRefs: [{ name: 'cart' }], rules })])
    return ask(world, 'spiffe://partner.test/ns/shop/sa/web', 'cart.shop').verdict
  }
  assert.equal(verdict({}), 'Deny')
  assert.equal(verdict({}, { from: [{ trustDomains: ['partner.test'] }] }), 'Allow')
})

test('who is who follows the template of the mesh', () => {
  const allow = document('AccessPolicy', 'callers', { targetRefs: [{ name: 'cart' }], rules: [{ from: [{ namespaces: ['far'] }] }] })
  const idTemplate = '/{namespace}/{serviceAccount}'
  const resources = [service('web'), service('cart'), allow]
  const workloads = workloadsWithout(resources, [], 'weft.local', 'shop', idTemplate)
  assert.ok(workloads.some(({ identity }) => identity === 'spiffe://weft.local/shop/web'))
  const world = new World(resources, { trustDomain: 'weft.local', idTemplate, workloads, now: 0 })
  assert.equal(ask(world, 'spiffe://weft.local/far/job', 'cart.shop').verdict, 'Allow')
  assert.equal(ask(world, 'spiffe://weft.local/ns/far/sa/job', 'cart.shop').verdict, 'Deny')
  assert.equal(ask(world, 'web', 'cart').verdict, 'Deny')
})
