/** Policies as two clients of one namespace see them: each with its own timeouts, retries, limits and routes for the same service, from the mesh down to one rule. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { Mesh, root, type Shell } from '../harness/mesh.ts'
import { apply, connectTo, explained, remove, routeField, said, serve } from './policies/shop.ts'
import { call, type Question, type Told } from './route-filters/shop.ts'

const verdict = await canCapture()
const ways = ['1', '2', 'grpc'] as const
type Way = (typeof ways)[number]

describe('policies of requests', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let web: Shell
  let checkout: Shell

  before(async () => {
    mesh = await Mesh.start()
    for (const service of ['cart', 'cart-v2']) serve(mesh, service)
    for (const service of ['cart', 'cart-v2']) await mesh.healthy(service)
    web = mesh.shell('web')
    checkout = mesh.shell('checkout')
    await Promise.all([web.says('true'), checkout.says('true')])
  })
  after(async () => {
    await web?.[Symbol.asyncDispose]()
    await checkout?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  const ask = (client: Shell, by: Way, question: Question = {}): Promise<Told> =>
    call(client, { to: by === 'grpc' ? 'http://cart:7070' : 'http://cart:8080', by, times: 4, width: 4, ...question })
  const good = (name: string, by: Way, times = 4) => ({ [by === 'grpc' ? `grpc 0 ${name}` : `200 ${name}`]: times })
  const late = (by: Way, times = 4) => ({ [by === 'grpc' ? 'grpc 4 upstream-timeout' : '504 upstream-timeout']: times })
  const only = (service: string) => ({ from: [{ service }] })
  const toCart = { targetRefs: [{ name: 'cart' }] }

  test('two clients have different timeouts for the same service', async () => {
    await apply(mesh, 'RoutePolicy', 'everybody', { ...toCart, timeouts: { request: '20s' } })
    await apply(mesh, 'RoutePolicy', 'checkout', { ...toCart, ...only('checkout'), timeouts: { request: '200ms' } })
    for (const by of ways) {
      assert.deepEqual((await ask(checkout, by, { path: '/wait/1500' })).tally, late(by), by)
      assert.deepEqual((await ask(web, by, { path: '/wait/1500' })).tally, good('cart', by), by)
    }
    assert.deepEqual(routeField(await explained(mesh, 'cart:8080', 'checkout'), 'timeouts.request'), [
      '200ms',
      'RoutePolicy default/checkout',
      ['RoutePolicy default/everybody'],
    ])
    assert.deepEqual(routeField(await explained(mesh, 'cart:8080', 'web'), 'timeouts.request'), [
      '20s',
      'RoutePolicy default/everybody',
      [],
    ])
    await remove(mesh, 'RoutePolicy', 'checkout')
    assert.deepEqual((await ask(checkout, '1', { path: '/wait/600' })).tally, good('cart', '1'))
    await remove(mesh, 'RoutePolicy', 'everybody')
  })

  test('two clients have different retries for the same service', async () => {
    const retry = { attempts: 5, codes: [503], grpc: ['Unavailable'], backoff: { base: '1ms', max: '5ms' } }
    // The budget that is built in would let ten a second be tried again.
    const minRetryRate = { count: 1000 }
    await apply(mesh, 'BackendPolicy', 'checkout', { ...toCart, ...only('checkout'), retryConstraint: { minRetryRate } })
    await apply(mesh, 'RoutePolicy', 'checkout', { ...toCart, ...only('checkout'), retry })
    for (const by of ways) {
      assert.deepEqual((await ask(checkout, by, { path: '/flaky', times: 6, width: 1 })).tally, good('cart', by, 6), by)
      const { tally } = await ask(web, by, { path: '/flaky', times: 6, width: 1 })
      assert.equal(Object.keys(tally).length, 2, `${by}: ${JSON.stringify(tally)}`)
    }
    for (const kind of ['RoutePolicy', 'BackendPolicy']) await remove(mesh, kind, 'checkout')
  })

  test('two clients have different limits for the same service', async () => {
    await apply(mesh, 'BackendPolicy', 'everybody', { ...toCart, limits: { requests: 100 } })
    await apply(mesh, 'BackendPolicy', 'checkout', { ...toCart, ...only('checkout'), limits: { requests: 1 } })
    for (const by of ways) {
      const { tally } = await ask(checkout, by, { path: '/wait/500', times: 6, width: 6 })
      assert.ok(
        Object.keys(tally).some(key => key.endsWith('backend-limit')),
        `${by}: ${JSON.stringify(tally)}`,
      )
      assert.deepEqual((await ask(web, by, { path: '/wait/500', times: 6, width: 6 })).tally, good('cart', by, 6), by)
    }
    const [limited] = (await explained(mesh, 'cart:8080', 'checkout')).ports[0]!.backends
    assert.deepEqual(limited!.calls.find(each => each.field === 'limits')!.by, 'BackendPolicy default/checkout')
    for (const name of ['everybody', 'checkout']) await remove(mesh, 'BackendPolicy', name)
  })

  test('two clients have different routes for the same service, over HTTP, gRPC and TCP', async () => {
    const parent = (port: number) => ({ parentRefs: [{ group: '', kind: 'Service', name: 'cart', port }] })
    const rules = (port: number, name = 'cart-v2') => [{ backendRefs: [{ name, port }] }]
    await apply(mesh, 'HTTPRoute', 'everybody', { ...parent(8080), rules: rules(8080, 'cart') })
    const routes = [
      ['HTTPRoute', 8080],
      ['GRPCRoute', 7070],
      ['TCPRoute', 9000],
    ] as const
    for (const [kind, port] of routes)
      await apply(mesh, kind, 'checkout', { ...parent(port), rules: rules(port) }, { from: 'service=checkout' })
    for (const by of ways) {
      assert.deepEqual((await ask(checkout, by)).tally, good('cart-v2', by), by)
      assert.deepEqual((await ask(web, by)).tally, good('cart', by), by)
    }
    assert.equal(await connectTo(checkout, 'cart'), 'cart-v2\n')
    assert.equal(await connectTo(web, 'cart'), 'cart\n')
    const told = await explained(mesh, 'cart:8080', 'checkout', '--path', '/')
    assert.deepEqual(routeField(told, 'backends'), [['default/cart-v2:8080 1'], 'HTTPRoute default/checkout rule 0', []])
    assert.deepEqual(
      told.ports[0]!.backends.map(each => each.backend),
      ['default/cart-v2:8080'],
    )

    await apply(mesh, 'HTTPRoute', 'checkout', { ...parent(8080), rules: rules(8080) }, { from: 'service=web' })
    assert.deepEqual([(await ask(checkout, '1')).tally, (await ask(web, '1')).tally], [good('cart', '1'), good('cart-v2', '1')])
    await apply(mesh, 'HTTPRoute', 'checkout', { ...parent(8080), rules: rules(8080) }, { from: 'web' })
    assert.deepEqual((await ask(web, '1')).tally, good('cart', '1'))
    assert.match(
      (await said(mesh, 'HTTPRoute', 'checkout')).join('\n'),
      /Accepted False UnsupportedValue: metadata.annotations\["weft.dev\/from"\]/,
    )
    for (const [kind] of routes) await remove(mesh, kind, 'checkout')
    await remove(mesh, 'HTTPRoute', 'everybody')
  })

  test('the narrower layer wins, from the mesh to one rule for one client, each as soon as it is there', async () => {
    const parents = { parentRefs: [{ group: '', kind: 'Service', name: 'cart', port: 8080 }] }
    await apply(mesh, 'HTTPRoute', 'cart', { ...parents, rules: [{ name: 'all', backendRefs: [{ name: 'cart', port: 8080 }] }] })
    const grpc = { parentRefs: [{ group: '', kind: 'Service', name: 'cart', port: 7070 }] }
    await apply(mesh, 'GRPCRoute', 'cart', { ...grpc, rules: [{ name: 'all', backendRefs: [{ name: 'cart', port: 7070 }] }] })
    const both = (more: object = {}) => [
      { kind: 'HTTPRoute', name: 'cart', ...more },
      { kind: 'GRPCRoute', name: 'cart', ...more },
    ]
    const ports = [
      { name: 'cart', sectionName: 'http' },
      { name: 'cart', sectionName: 'grpc' },
    ]
    const layers: readonly (readonly [name: string, targetRefs: readonly object[], request: string, namespace?: string])[] = [
      ['mesh', [{ kind: 'Mesh' }], '200ms', 'weft-system'],
      ['namespace', [{ kind: 'Namespace' }], '20s'],
      ['service', [{ name: 'cart' }], '200ms'],
      ['port', ports, '20s'],
      ['route', both(), '200ms'],
      ['rule', both({ sectionName: 'all' }), '20s'],
    ]
    await mesh.client.apply(
      { group: '', version: 'v1', plural: 'namespaces', namespaced: false },
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'weft-system' },
      },
    )
    const named: string[] = []
    for (const [name, targetRefs, request, namespace] of layers) {
      await apply(mesh, 'RoutePolicy', name, { targetRefs, timeouts: { request } }, namespace === undefined ? {} : { namespace })
      for (const by of ways) {
        const { tally } = await ask(web, by, { path: '/wait/1000' })
        assert.deepEqual(tally, request === '20s' ? good('cart', by) : late(by), `${name} by ${by}`)
      }
      const before = [...named]
      named.unshift(`RoutePolicy ${namespace ?? 'default'}/${name}`)
      assert.deepEqual(routeField(await explained(mesh, 'cart:8080', 'web'), 'timeouts.request'), [request, named[0], before])
    }
    await apply(mesh, 'RoutePolicy', 'one', {
      targetRefs: both({ sectionName: 'all' }),
      ...only('checkout'),
      timeouts: { request: '200ms' },
    })
    for (const by of ways) {
      assert.deepEqual((await ask(checkout, by, { path: '/wait/1000' })).tally, late(by), by)
      assert.deepEqual((await ask(web, by, { path: '/wait/1000' })).tally, good('cart', by), by)
    }
    for (const [name, , , namespace] of layers) await remove(mesh, 'RoutePolicy', name, namespace)
    await remove(mesh, 'RoutePolicy', 'one')
    assert.deepEqual(routeField(await explained(mesh, 'cart:8080', 'checkout'), 'timeouts.request'), ['none', 'built in', []])
    for (const kind of ['HTTPRoute', 'GRPCRoute']) await remove(mesh, kind, 'cart')
  })

  test('of two equals the older holds, field by field, and both are told', async () => {
    await apply(mesh, 'RoutePolicy', 'older', { ...toCart, timeouts: { request: '20s' } })
    await new Promise(resolve => setTimeout(resolve, 1100)) // ages are in seconds
    await apply(mesh, 'RoutePolicy', 'younger', { ...toCart, timeouts: { request: '400ms', try: '300ms' } })
    assert.deepEqual((await ask(web, '1', { path: '/wait/5' })).tally, good('cart', '1'))
    assert.deepEqual((await ask(web, '1', { path: '/wait/1500' })).tally, late('1'))
    assert.match(
      (await said(mesh, 'RoutePolicy', 'older')).join('\n'),
      /Conflicted True Overrules: .*timeouts.request: RoutePolicy default\/younger says it too/,
    )
    assert.match(
      (await said(mesh, 'RoutePolicy', 'younger')).join('\n'),
      /Conflicted True Overruled: .*timeouts.request: RoutePolicy default\/older is older/,
    )
    for (const name of ['older', 'younger']) await remove(mesh, 'RoutePolicy', name)
  })

  test('what a port cannot carry out is refused by its field, and a silent connection ends when its time is over', async () => {
    const raw = { targetRefs: [{ name: 'cart', sectionName: 'raw' }] }
    await apply(mesh, 'RoutePolicy', 'raw', { ...raw, timeouts: { idle: '1s' }, retry: { codes: [503] } })
    assert.match(
      (await said(mesh, 'RoutePolicy', 'raw')).join('\n'),
      /PartiallyInvalid True UnsupportedValue: .*spec.retry: port 9000 of Service default\/cart speaks tcp/,
    )
    const [name, ms] = (await connectTo(web, 'cart', 'wait')).trim().split('\n')
    assert.equal(name, 'cart')
    assert.ok(Number(ms) > 800 && Number(ms) < 10_000, `${ms} ms`)
    await remove(mesh, 'RoutePolicy', 'raw')

    const file = join(mesh.folder, 'refused.yaml')
    const policy = {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'RoutePolicy',
      metadata: { name: 'refused' },
      spec: { ...raw, retry: { codes: [503] } },
    }
    writeFileSync(file, JSON.stringify(policy))
    const { code, stderr } = await mesh.weft('apply', '--wait', '-f', file)
    assert.notEqual(code, 0)
    assert.match(stderr, /routepolicy\/refused at service\/cart#raw: .*Accepted is False.*spec.retry: port 9000/)
    await remove(mesh, 'RoutePolicy', 'refused')
  })

  test('a request of which nothing passes ends when its idle time is over, for one client; where bytes pass it goes on', async () => {
    await apply(mesh, 'RoutePolicy', 'idle', { ...toCart, ...only('checkout'), timeouts: { idle: '400ms' } })
    for (const by of ways) {
      assert.deepEqual((await ask(checkout, by, { path: '/wait/3000' })).tally, late(by), by)
      assert.deepEqual((await ask(web, by, { path: '/wait/1500' })).tally, good('cart', by), by)
    }
    // Curl ends it after two seconds (28): longer than nothing may pass, and something passes.
    const drip = (ms: number) => checkout.do(`curl -s -o /dev/null -m 2 -w '%{http_code}' http://cart:8080/drip/${ms}`)
    assert.deepEqual(await drip(50), { code: 28, output: '200' })
    const { code, output } = await drip(60_000)
    assert.notEqual(code, 28, output)
    await remove(mesh, 'RoutePolicy', 'idle')
  })

  test('workloads with a label have a limit of their own, others that of the namespace', async () => {
    await apply(mesh, 'RateLimitPolicy', 'all', { targetRefs: [{ kind: 'Namespace' }], local: { requests: 1000, interval: '60s' } })
    await apply(mesh, 'RateLimitPolicy', 'labelled', {
      targetRefs: [{ kind: 'Workload', labels: { app: 'cart' } }],
      local: { requests: 2, interval: '60s' },
    })
    const { tally } = await ask(web, '1', { times: 10 })
    assert.deepEqual(tally, { ...good('cart', '1', 2), '429 rate-limited': 8 })
    assert.deepEqual((await call(web, { to: 'http://cart-v2:8080', times: 10 })).tally, good('cart-v2', '1', 10))
    for (const name of ['all', 'labelled']) await remove(mesh, 'RateLimitPolicy', name)
  })

  test('the example of the guide does what it says, and files tell the same before they are applied', async () => {
    const example = join(root, 'examples/policies.yaml')
    const services = join(mesh.folder, 'services.yaml')
    writeFileSync(services, await mesh.weft('get', 'services', 'cart', 'cart-v2', '-o', 'yaml').then(({ stdout }) => stdout))
    const before = await mesh.weft('explain', 'policy', 'cart:8080', '--from', 'checkout', '-f', example, '-f', services, '-o', 'json')
    assert.equal(before.code, 0, before.stderr)
    const { code, stderr } = await mesh.weft('apply', '--wait', '-f', example)
    assert.equal(code, 0, stderr)
    for (const by of ['1', '2'] as const) {
      assert.deepEqual((await ask(checkout, by, { path: '/wait/2500' })).tally, good('cart-v2', by), by)
      assert.deepEqual((await ask(web, by, { path: '/wait/2500' })).tally, late(by), by)
    }
    const told = await explained(mesh, 'cart:8080', 'checkout')
    assert.deepEqual(routeField(told, 'timeouts.request'), ['10s', 'RoutePolicy default/checkout', ['RoutePolicy default/everybody']])
    const offline = JSON.parse(before.stdout) as typeof told
    assert.deepEqual(offline.ports[0]!.routes, told.ports[0]!.routes)
    assert.deepEqual(
      offline.ports[0]!.backends.map(each => each.calls),
      told.ports[0]!.backends.map(each => each.calls),
    )
    const text = await mesh.weft('explain', 'policy', 'cart:8080', '--from', 'checkout')
    assert.match(text.stdout, /timeouts\.request +10s +RoutePolicy default\/checkout +2s of RoutePolicy default\/everybody/)
    assert.match(
      text.stdout,
      /limits +requests 1000 +BackendPolicy default\/cart-for-checkout +requests 100 of BackendPolicy default\/cart/,
    )
    const missing = await mesh.weft('explain', 'policy', 'gone')
    assert.notEqual(missing.code, 0)
    assert.match(missing.stderr, /no Service gone\.default/)
    assert.equal((await mesh.weft('delete', '-f', example)).code, 0)
  })

  test('no request is lost while policies of a client come and go', async () => {
    const asking = ask(web, '1', { path: '/wait/5', times: 1500, width: 4 })
    for (let round = 0; round < 4; round++) {
      await apply(mesh, 'RoutePolicy', 'moving', { ...toCart, from: [{ service: 'web' }], timeouts: { request: `${20 + round}s` } })
      await apply(mesh, 'BackendPolicy', 'moving', {
        ...toCart,
        from: [{ service: 'web' }],
        balance: round % 2 === 0 ? 'RoundRobin' : 'Random',
      })
    }
    for (const kind of ['RoutePolicy', 'BackendPolicy']) await remove(mesh, kind, 'moving')
    assert.deepEqual((await asking).tally, good('cart', '1', 1500))
  })
})
