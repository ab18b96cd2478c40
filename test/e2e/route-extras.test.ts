/** What else a route can do, seen by traffic through two proxies: answers of its own, rewrites, other routes, bodies, slow lines, maintenance. */

import assert from 'node:assert/strict'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { kinds, Mesh, root, type Shell } from '../harness/mesh.ts'
import { call, metric, type Question } from './route-filters/shop.ts'

const verdict = await canCapture()
const weft = (plural: string): KindPath => ({ group: 'weft.dev', version: 'v1alpha1', plural, namespaced: true })
const paths: Readonly<Record<string, KindPath>> = {
  HTTPRoute: kinds.httpRoute,
  GRPCRoute: { ...kinds.httpRoute, plural: 'grpcroutes' },
  RouteFilter: weft('routefilters'),
  RoutePolicy: weft('routepolicies'),
  FaultPolicy: weft('faultpolicies'),
}
const versions = ['1', '2'] as const

describe('what else a route can do', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let caller: Shell
  const seen: Record<string, () => readonly string[]> = {}

  before(async () => {
    mesh = await Mesh.start()
    for (const name of ['web', 'shadow']) {
      const file = join(mesh.folder, `seen-${name}`)
      writeFileSync(file, '')
      chmodSync(file, 0o666)
      seen[name] = () => readFileSync(file, 'utf8').split('\n').slice(0, -1)
      mesh.run(name, [process.execPath, join(import.meta.dirname, 'route-extras/server.mjs')], {
        flags: [
          '--service',
          name,
          '--port',
          'web:8080/http',
          '--port',
          'grpc:7070/grpc',
          '--port',
          'raw:7000/tcp',
          '--port',
          'udp:7000/udp',
        ],
        env: { NAME: name, SEEN: file },
      })
    }
    for (const name of ['web', 'shadow']) await mesh.healthy(name)
    caller = mesh.shell('caller')
    await caller.says('true')
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  const apply = async (kind: string, name: string, spec: object): Promise<void> => {
    const apiVersion = kind.endsWith('Route') ? 'gateway.networking.k8s.io/v1' : 'weft.dev/v1alpha1'
    const document = { apiVersion, kind, metadata: { name, namespace: 'default' }, spec } as Resource
    const { resource } = await mesh.client.apply(paths[kind]!, document, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
  }
  const remove = async (kind: string, name: string): Promise<void> => {
    await mesh.client.delete(paths[kind]!, name)
    const { resourceVersion } = await mesh.client.list(paths[kind]!, {})
    await active(mesh, Number(resourceVersion))
  }
  type Stated = { readonly type: string; readonly status: string; readonly reason: string; readonly message: string }
  type Status = {
    readonly parents?: readonly {
      readonly parentRef: { readonly kind: string; readonly name: string }
      readonly conditions: readonly Stated[]
    }[]
  }
  const statusOf = async (name: string): Promise<Status> =>
    ((await mesh.client.get(paths['HTTPRoute']!, name, { namespace: 'default' })).status ?? {}) as Status
  const route = (...rules: readonly object[]) => ({ parentRefs: [{ group: '', kind: 'Service', name: 'web', port: 8080 }], rules })
  const backendRefs = [{ name: 'web', port: 8080 }]
  const below = (value: string) => [{ path: { value } }]
  const extension = (name: string) => ({ type: 'ExtensionRef', extensionRef: { group: 'weft.dev', kind: 'RouteFilter', name } })
  const ask = (question: Question) => call(caller, question)
  const target = { targetRefs: [{ name: 'web' }] }
  /** What the server saw while it was asked. */
  const lines = async (question: Question): Promise<readonly string[]> => {
    const count = seen['web']!().length
    await ask(question)
    return seen['web']!().slice(count)
  }

  test('a rule answers itself, and to gRPC in its own words; nothing reaches the service', async () => {
    await apply('RouteFilter', 'sold-out', {
      directResponse: {
        status: 503,
        body: '{"sold":"out"}',
        contentType: 'application/json',
        headers: [{ name: 'X-Why', value: 'sold out' }],
        retryAfter: '90s',
      },
    })
    await apply('HTTPRoute', 'web', route({ matches: below('/sold-out'), filters: [extension('sold-out')] }, { backendRefs }))
    const before = seen['web']!().length
    for (const by of versions) {
      const { tally, first } = await ask({ path: '/sold-out/1', by, times: 10 })
      assert.deepEqual(tally, { 503: 10 })
      assert.deepEqual(
        [first['content-type'], first['retry-after'], first['x-why'], first['content-length']],
        ['application/json', '90', 'sold out', '14'],
      )
    }
    await apply('GRPCRoute', 'web', {
      parentRefs: [{ group: '', kind: 'Service', name: 'web', port: 7070 }],
      rules: [
        { matches: [{ method: { service: 'shop.Sold' } }], filters: [extension('sold-out')] },
        { backendRefs: [{ name: 'web', port: 7070 }] },
      ],
    })
    const told = await ask({ to: 'http://web:7070', path: '/shop.Sold/Out', by: 'grpc', times: 5 })
    assert.deepEqual(told.tally, { 'grpc 14': 5 })
    assert.equal(decodeURIComponent(told.first['grpc-message']!), '{"sold":"out"}')
    assert.equal(seen['web']!().length, before)
    assert.deepEqual((await ask({ to: 'http://web:7070', path: '/shop.Cart/Get', by: 'grpc', times: 5 })).tally, { 'grpc 0 web': 5 })
    await remove('GRPCRoute', 'web')
  })

  test('a rule whose filter is not there answers 500 and says so; it holds as soon as the filter is there', async () => {
    await apply('HTTPRoute', 'web', route({ matches: below('/later'), filters: [extension('later')], backendRefs }, { backendRefs }))
    assert.deepEqual((await ask({ path: '/later', times: 3 })).tally, { '500 rule-invalid': 3 })
    assert.deepEqual((await ask({ path: '/', times: 3 })).tally, { '200 web': 3 })
    await mesh.until(
      'the missing filter in its status',
      async () =>
        (await statusOf('web')).parents?.[0]?.conditions.some(
          ({ type, reason, message }) =>
            type === 'ResolvedRefs' && reason === 'FilterNotFound' && message.includes('RouteFilter default/later does not exist'),
        ) === true,
    )
    await apply('RouteFilter', 'later', { rewrite: { pathRegex: { pattern: '^/later', substitution: '/now' } } })
    assert.deepEqual((await ask({ path: '/later', times: 3 })).tally, { '200 web': 3 })
  })

  for (const by of versions)
    test(`paths and hosts are rewritten by expressions and by headers (HTTP/${by})`, async () => {
      await apply('RouteFilter', 'turn', {
        rewrite: { pathRegex: { pattern: '^/service/([^/]+)(/.*)$', substitution: '\\2/instance/\\1' }, hostFromHeader: 'X-Tenant' },
      })
      await apply('RouteFilter', 'tenant', { rewrite: { hostFromPath: { pattern: '^/tenant/([a-z]+)/.*$', substitution: '\\1.example' } } })
      await apply(
        'HTTPRoute',
        'web',
        route(
          { matches: below('/service'), filters: [extension('turn')], backendRefs },
          { matches: below('/tenant'), filters: [extension('tenant')], backendRefs },
          { backendRefs },
        ),
      )
      const saw = async (path: string, headers: Readonly<Record<string, string>> = {}) =>
        (await lines({ path, by, headers })).map(line => line.split(' ').slice(1, 3).join(' '))
      assert.deepEqual(await saw('/service/foo/v1/api?q=%2F', { 'x-tenant': 'acme.example:81' }), [
        '/v1/api/instance/foo?q=%2F acme.example:81',
      ])
      assert.deepEqual(await saw('/service/foo/v1'), ['/v1/instance/foo web:8080'])
      assert.deepEqual(await saw('/service/foo/v1', { 'x-tenant': 'no host/at all' }), ['/v1/instance/foo web:8080'])
      assert.deepEqual(await saw('/tenant/acme/x'), ['/tenant/acme/x acme.example'])
      assert.deepEqual(await saw('/tenant/ACME/x'), ['/tenant/ACME/x web:8080'])
    })

  for (const by of versions)
    test(`a rule hands on to another route, which rules below it and nowhere else (HTTP/${by})`, async () => {
      const sets = (value: string) => ({ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-by', value }] } })
      await apply('HTTPRoute', 'team', {
        rules: [
          { matches: below('/team/a'), filters: [sets('team')], backendRefs },
          { matches: below('/team/late'), backendRefs },
          { matches: below('/elsewhere'), backendRefs },
          { matches: [{ path: { value: '/team/own' }, method: 'GET' }], backendRefs },
        ],
      })
      await apply(
        'HTTPRoute',
        'web',
        route(
          {
            matches: below('/team'),
            filters: [sets('front')],
            timeouts: { request: '300ms' },
            backendRefs: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: 'team' }],
          },
          { matches: below('/team/own'), backendRefs },
          { matches: below('/other'), backendRefs },
        ),
      )
      const by4 = async (path: string, method = 'GET') => (await lines({ path, by, method })).map(line => line.split(' ')[3])
      assert.deepEqual(await by4('/team/a/1'), ['team'])
      assert.deepEqual(await by4('/team/late/1'), ['front'])
      // The more specific rule of the parent keeps what is its.
      assert.deepEqual(await by4('/team/own'), ['-'])
      for (const path of ['/elsewhere', '/team/none']) assert.deepEqual((await ask({ path, by })).tally, { '404 no-route': 1 })
      const { parents } = await statusOf('team')
      assert.deepEqual(
        parents?.map(({ parentRef, conditions }) => [
          parentRef.kind,
          parentRef.name,
          conditions.find(({ type }) => type === 'Accepted')?.status,
        ]),
        [['HTTPRoute', 'web', 'True']],
      )
      // In a circle: refused by name, and nothing else is lost.
      await apply('HTTPRoute', 'team', {
        rules: [{ backendRefs: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: 'web' }] }],
      })
      assert.deepEqual((await ask({ path: '/team/a', by })).tally, { '500 rule-invalid': 1 })
      assert.deepEqual((await ask({ path: '/other', by })).tally, { '200 web': 1 })
      await mesh.until(
        'the circle in the status',
        async () =>
          (await statusOf('web')).parents?.[0]?.conditions.some(({ message }) =>
            message.includes('spec.rules[0].backendRefs[0]: goes round in a circle: default/web → default/team → default/web'),
          ) === true,
      )
      await remove('HTTPRoute', 'team')
    })

  test('timeouts and retries differ by path and method of one service', async () => {
    await apply(
      'HTTPRoute',
      'web',
      route(
        { matches: below('/late/600/short'), timeouts: { request: '200ms' }, backendRefs },
        { matches: below('/late/600/long'), timeouts: { request: '5s' }, backendRefs },
        { matches: [{ path: { value: '/fails' }, method: 'POST' }], retry: { codes: [503], attempts: 1, backoff: '5ms' }, backendRefs },
        { matches: below('/fails/often'), retry: { codes: [503], attempts: 3, backoff: '5ms' }, backendRefs },
        { backendRefs },
      ),
    )
    for (const by of versions) {
      assert.deepEqual((await ask({ path: '/late/600/short', by, times: 3 })).tally, { '504 upstream-timeout': 3 })
      assert.deepEqual((await ask({ path: '/late/600/long', by, times: 3 })).tally, { '200 web': 3 })
      assert.equal((await lines({ path: '/fails/often', by })).length, 4)
      assert.equal((await lines({ path: '/fails/seldom', by })).length, 1)
      assert.equal((await lines({ path: '/fails/seldom', by, method: 'POST' })).length, 2)
    }
  })

  test('answers are compressed by the proxy that is called, for who takes that, and counted', async () => {
    await remove('HTTPRoute', 'web')
    await apply('RoutePolicy', 'web', { ...target, compression: { responses: {}, decompress: { maxBytes: 100_000 } } })
    for (const by of versions) {
      const headers = (accepted: string) => ({ 'accept-encoding': accepted })
      for (const [accepted, coding] of [
        ['gzip', 'gzip'],
        ['br;q=0.9, gzip;q=0.5', 'br'],
        ['gzip, zstd', 'zstd'],
        ['identity', undefined],
        ['gzip;q=0', undefined],
      ] as const) {
        const { tally, first } = await ask({ by, times: 5, headers: headers(accepted) })
        assert.deepEqual(tally, { '200 web': 5 })
        assert.equal(first['content-encoding'], coding, accepted)
        assert.equal(first['vary'], 'Accept-Encoding')
        assert.equal(first['etag'], coding === undefined ? '"v1"' : 'W/"v1"')
      }
    }
    assert.deepEqual(
      (await ask({ to: 'http://web:7070', path: '/shop.Cart/Get', by: 'grpc', times: 5, headers: { 'accept-encoding': 'gzip' } })).tally,
      { 'grpc 0 web': 5 },
    )
    const coded = (stage: string) => metric(mesh, 'web', `weft_coded_bytes_${stage}_total`, 'what="answer"', 'coding="gzip"')
    await mesh.until('the bytes in the metrics', async () => (await coded('in')) > 10 * (await coded('out')) && (await coded('out')) > 0)
    await remove('RoutePolicy', 'web')
  })

  test('requests are compressed for the way and taken apart before the program', async () => {
    await apply('RoutePolicy', 'web', {
      ...target,
      compression: { requests: { algorithm: 'zstd', contentTypes: ['text/plain'] }, decompress: { maxBytes: 100_000 } },
    })
    for (const by of versions) {
      const post = (bytes: number) => ({ path: '/', method: 'POST', bytes, by, headers: { 'content-type': 'text/plain' } }) as const
      assert.deepEqual(await lines(post(50_000)), ['POST / web:8080 - - 50000'])
      assert.deepEqual((await ask(post(200_000))).tally, { '413 request-too-large': 1 })
    }
    assert.ok((await metric(mesh, 'caller', 'weft_coded_bytes_in_total', 'what="request"', 'coding="zstd"')) >= 100_000)
    await remove('RoutePolicy', 'web')
  })

  test('a request that is larger than its limit is refused by the proxy of its caller: 413, and RESOURCE_EXHAUSTED to gRPC', async () => {
    await apply('RoutePolicy', 'web', { ...target, limits: { requestBody: 10_000, requestHeaders: 30 } })
    const before = seen['web']!().length
    for (const by of versions) {
      assert.deepEqual((await ask({ path: '/', method: 'POST', bytes: 10_001, by, times: 5, width: 1 })).tally, {
        '413 request-too-large': 5,
      })
      const many = Object.fromEntries(Array.from({ length: 31 }, (_, at) => [`x-${at}`, '1']))
      assert.deepEqual((await ask({ path: '/', by, headers: many })).tally, { '431 header-too-large': 1 })
    }
    const large = await ask({ to: 'http://web:7070', path: '/shop.Cart/Put', by: 'grpc', bytes: 20_000, times: 5, width: 1 })
    assert.deepEqual(large.tally, { 'grpc 8 request-too-large': 5 })
    assert.equal(seen['web']!().filter((line, at) => at >= before && !line.startsWith('call')).length, 0)
    for (const by of versions)
      assert.deepEqual((await ask({ path: '/', method: 'POST', bytes: 10_000, by, times: 5 })).tally, { '200 web': 5 })
    await remove('RoutePolicy', 'web')
  })

  test('a service under maintenance answers what was written, on every protocol of HTTP, until its time', async () => {
    const until = new Date(Math.ceil(Date.now() / 1000) * 1000 + 8000).toISOString()
    await apply('RoutePolicy', 'web', { ...target, maintenance: { body: 'back soon\n', until } })
    const before = seen['web']!().length
    for (const by of versions) {
      const { tally, first } = await ask({ by, times: 5 })
      assert.deepEqual(tally, { 503: 5 })
      assert.equal(first['retry-after'], new Date(until).toUTCString())
    }
    const told = await ask({ to: 'http://web:7070', path: '/shop.Cart/Get', by: 'grpc', times: 5 })
    assert.deepEqual(told.tally, { 'grpc 14': 5 })
    assert.equal(seen['web']!().length, before)
    await mesh.until('its end', async () => (await ask({})).tally['200 web'] === 1)
    assert.ok(Date.now() >= Date.parse(until))
    await remove('RoutePolicy', 'web')
  })

  test('a slow line is slow for the bodies of requests and answers, and for connections of TCP', async () => {
    const slow = (spec: object) => apply('FaultPolicy', 'slow', { targetRefs: [{ name: 'web' }], ...spec })
    await slow({ bandwidth: { responses: 20_000 } })
    for (const by of versions) {
      const { tally, ms } = await ask({ by })
      assert.deepEqual(tally, { '200 web': 1 })
      // 16 kB at 20 kB a second; what is sent at once is a twentieth of a second's.
      assert.ok(ms[0]! > 600 && ms[0]! < 10_000, `${ms}`)
    }
    await slow({ bandwidth: { requests: 20_000 } })
    for (const [by, to] of [
      ['1', 'http://web:8080'],
      ['2', 'http://web:8080'],
      ['grpc', 'http://web:7070'],
    ] as const) {
      const { ms } = await ask({ to, path: '/x/y', method: 'POST', bytes: 20_000, by })
      assert.ok(ms[0]! > 800 && ms[0]! < 10_000, `${by}: ${ms}`)
    }
    const pour = async () =>
      JSON.parse(await caller.says(`${process.execPath} ${join(import.meta.dirname, 'route-extras/pour.mjs')} web 7000 20000`)) as {
        ms: number
        left: number
      }
    const poured = await pour()
    assert.deepEqual(poured.left, 0)
    assert.ok(poured.ms > 800 && poured.ms < 10_000, `${poured.ms}`)
    await slow({ bandwidth: { requests: 20_000, percent: 50 } })
    const { ms } = await ask({ path: '/', method: 'POST', bytes: 30_000, times: 60, width: 60 })
    // 30 kB at 20 kB a second, each line by itself: 1450 ms more than the others took, which all sixty at once may hold up too.
    const [quickest = 0] = ms.toSorted((a, b) => a - b)
    const late = ms.filter(each => each > quickest + 900).length
    // Five standard deviations: √(60 · 0.5 · 0.5) = 3.9.
    assert.ok(Math.abs(late - 30) < 20, `${late} of 60 were late: ${ms}`)
    await remove('FaultPolicy', 'slow')
  })

  test('datagrams of a client are lost, or held up, each by its own chance', async () => {
    const send = async (): Promise<{ readonly back: number; readonly ms: readonly number[] }> =>
      JSON.parse(await caller.says(`${process.execPath} ${join(import.meta.dirname, 'route-extras/datagrams.mjs')} web 7000 300`))
    const dropped = () => metric(mesh, 'caller', 'weft_faults_injected_total', 'policy="default/lossy"', 'fault="drop"')
    const lossy = (spec: object) => apply('FaultPolicy', 'lossy', { targetRefs: [{ name: 'web', sectionName: 'udp' }], ...spec })
    assert.ok((await send()).back >= 295)
    await lossy({ abort: { drop: true, percent: 40 } })
    const { back } = await send()
    // Five standard deviations: √(300 · 0.4 · 0.6) = 8.5; a kernel may lose a few more.
    assert.ok(Math.abs(back - 180) < 48, `${back} of 300 came back`)
    assert.ok(Math.abs((await dropped()) - (300 - back)) <= 10, `${await dropped()} were dropped`)
    await lossy({ delay: { fixed: '150ms', jitter: '30ms', distribution: 'Exponential' } })
    const late = await send()
    assert.ok(late.back >= 290 && late.ms[0]! >= 145, `${late.back}, ${late.ms[0]} ms`)
    // The mean is 180 ms and its deviation that of an exponential, 30 ms: five standard errors of 300 are 9 ms; the machine may add some.
    const mean = late.ms.reduce((sum, each) => sum + each, 0) / late.back
    assert.ok(mean > 170 && mean < 260, `${mean} ms`)
    await remove('FaultPolicy', 'lossy')
  })

  test('calls of gRPC are copied by a GRPCRoute, and only the original is answered', async () => {
    await apply('GRPCRoute', 'web', {
      parentRefs: [{ group: '', kind: 'Service', name: 'web', port: 7070 }],
      rules: [
        {
          filters: [{ type: 'RequestMirror', requestMirror: { backendRef: { name: 'shadow', port: 7070 }, percent: 50 } }],
          backendRefs: [{ name: 'web', port: 7070 }],
        },
      ],
    })
    const [web0, shadow0] = [seen['web']!().length, seen['shadow']!().length]
    const { tally } = await ask({ to: 'http://web:7070', path: '/shop.Cart/Add', by: 'grpc', bytes: 3000, times: 400, width: 16 })
    assert.deepEqual(tally, { 'grpc 0 web': 400 })
    assert.equal(seen['web']!().length - web0, 400)
    const counted = () => metric(mesh, 'caller', 'weft_mirrored_requests_total', 'destination_service="shadow"', 'code="200"')
    await mesh.until('all copies are over', async () => (await counted()) === seen['shadow']!().length - shadow0)
    // Five standard deviations: √(400 · 0.5 · 0.5) = 10.
    assert.ok(Math.abs((await counted()) - 200) < 50, `${await counted()} of 400`)
    assert.ok(
      seen['shadow']!()
        .slice(shadow0)
        .every(line => line === 'call /shop.Cart/Add 3000'),
    )
    await remove('GRPCRoute', 'web')
  })

  test('the example is taken as it stands', async () => {
    const { code, stderr } = await mesh.weft('apply', '-f', join(root, 'examples/routes.yaml'))
    assert.deepEqual([code, stderr], [0, ''])
  })
})
