/** Copies, CORS and faults as callers in a real mesh see them: in statistics, over both versions of HTTP and gRPC. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { Mesh, type Shell } from '../harness/mesh.ts'
import { apply, call, metric, remove, serve, verdicts, web } from './route-filters/shop.ts'

const verdict = await canCapture()

describe('what happens to a request on its route', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let caller: Shell
  let other: Shell
  let seenByWeb: () => readonly string[]
  let seenByShadow: () => readonly string[]

  before(async () => {
    mesh = await Mesh.start()
    seenByWeb = serve(mesh, 'web')
    seenByShadow = serve(mesh, 'shadow')
    serve(mesh, 'stuck', 'stuck', { STUCK: 'yes' })
    mesh.run('echo', [process.execPath, join(import.meta.dirname, 'route-filters/echo.mjs')], { flags: ['--port', '7000/tcp'] })
    for (const name of ['web', 'shadow', 'stuck', 'echo']) await mesh.healthy(name)
    caller = mesh.shell('caller')
    other = mesh.shell('other')
    await Promise.all([caller.says('true'), other.says('true')])
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await other?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  const mirror = (name: string, part: object = {}) => ({
    type: 'RequestMirror',
    requestMirror: { backendRef: { name, port: 8080 }, ...part },
  })

  for (const by of ['1', '2'] as const)
    test(`copies have the whole body, and only the original is answered (HTTP/${by})`, async () => {
      await apply(mesh, 'HTTPRoute', 'web', web({ filters: [mirror('shadow')] }))
      const [web0, shadow0] = [seenByWeb().length, seenByShadow().length]
      const { tally } = await call(caller, { method: 'POST', path: `/by-${by}`, bytes: 300_000, times: 20, by })
      assert.deepEqual(tally, { '200 web': 20 })
      await mesh.until('20 copies', () => seenByShadow().length >= shadow0 + 20)
      const expected = Array.from({ length: 20 }, () => `POST /by-${by} web:8080 300000`)
      assert.deepEqual(seenByWeb().slice(web0), expected)
      assert.deepEqual(seenByShadow().slice(shadow0), expected)
    })

  test('of several mirrors each gets its part of the requests', async () => {
    await apply(
      mesh,
      'HTTPRoute',
      'web',
      web({ filters: [mirror('shadow', { percent: 30 }), mirror('shadow', { fraction: { numerator: 1, denominator: 10 } })] }),
    )
    const before = seenByShadow().length
    const counted = await metric(mesh, 'caller', 'weft_mirrored_requests_total', 'destination_service="shadow"', 'code="200"')
    assert.deepEqual((await call(caller, { times: 1500, width: 16 })).tally, { '200 web': 1500 })
    const copies = async () =>
      (await metric(mesh, 'caller', 'weft_mirrored_requests_total', 'destination_service="shadow"', 'code="200"')) - counted
    await mesh.until('all copies are over', async () => (await copies()) === seenByShadow().length - before)
    // Five standard deviations of the sum: √(1500 · (0.3 · 0.7 + 0.1 · 0.9)) = 21.2.
    assert.ok(Math.abs((await copies()) - 600) < 106, `${await copies()} copies of 1500 requests`)
  })

  test('a mirror that never answers, or is not there, neither delays nor fails a request', async () => {
    await apply(mesh, 'HTTPRoute', 'web', web({ filters: [mirror('stuck')] }))
    const { tally, ms } = await call(caller, { method: 'POST', bytes: 5000, times: 200 })
    assert.deepEqual(tally, { '200 web': 200 })
    assert.ok(ms[100]! < 1000, `${ms[100]} ms`)
    await apply(mesh, 'HTTPRoute', 'web', web({ filters: [mirror('gone')] }))
    assert.deepEqual((await call(caller, { times: 20 })).tally, { '200 web': 20 })
  })

  for (const by of ['1', '2'] as const)
    test(`preflights are answered by the proxy, and answers say whose pages may read them (HTTP/${by})`, async () => {
      const cors = {
        allowOrigins: ['https://*.shop.example'],
        allowCredentials: true,
        allowMethods: ['*'],
        allowHeaders: ['X-Cart'],
        exposeHeaders: ['X-Total'],
        maxAge: 600,
      }
      await apply(mesh, 'HTTPRoute', 'web', web({ filters: [{ type: 'CORS', cors }] }))
      const before = seenByWeb().length
      const preflight = (origin: string) =>
        call(caller, {
          by,
          method: 'OPTIONS',
          headers: { origin, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'x-cart' },
        })
      const { tally, first } = await preflight('https://www.shop.example')
      assert.deepEqual(tally, { '200': 1 })
      assert.deepEqual(
        Object.fromEntries(Object.entries(first).filter(([name]) => name.startsWith('access-control-') || name === 'vary')),
        {
          'access-control-allow-origin': 'https://www.shop.example',
          'access-control-allow-credentials': 'true',
          'access-control-allow-methods': 'PUT',
          'access-control-allow-headers': 'X-Cart',
          'access-control-expose-headers': 'X-Total',
          'access-control-max-age': '600',
          vary: 'Origin',
        },
      )
      const foreign = await preflight('https://evil.example')
      assert.equal(foreign.first['access-control-allow-origin'], undefined)
      assert.equal(seenByWeb().length, before, 'no preflight may reach the workload')
      const answer = await call(caller, { by, headers: { origin: 'https://www.shop.example' } })
      assert.deepEqual(answer.tally, { '200 web': 1 })
      assert.equal(answer.first['access-control-allow-origin'], 'https://www.shop.example')
      assert.equal(answer.first['access-control-expose-headers'], 'X-Total')
      assert.equal(
        (await call(caller, { by, headers: { origin: 'https://evil.example' } })).first['access-control-allow-origin'],
        undefined,
      )
    })

  test('a fault befalls its part of the requests, and its answers say who did it', async () => {
    await apply(mesh, 'HTTPRoute', 'web', web({}))
    await apply(mesh, 'FaultPolicy', 'web', { targetRefs: [{ name: 'web' }], abort: { httpStatus: 418, percent: 30 } })
    for (const by of ['1', '2'] as const) {
      const before = seenByWeb().length
      const { tally } = await call(caller, { times: 1000, by, width: 16 })
      const aborted = tally['418 fault-injected'] ?? 0
      assert.deepEqual(tally, { '200 web': 1000 - aborted, '418 fault-injected': aborted })
      // Five standard deviations of a binomial distribution: √(1000 · 0.3 · 0.7) = 14.5.
      assert.ok(Math.abs(aborted - 300) < 73, JSON.stringify(tally))
      assert.equal(seenByWeb().length - before, 1000 - aborted)
    }
    const counted = await metric(mesh, 'caller', 'weft_faults_injected_total', 'policy="default/web"', 'fault="http"')
    assert.equal(await metric(mesh, 'caller', 'weft_requests_total', 'reason="fault-injected"'), counted)
  })

  test('only the clients that a fault names are befallen, and only on the rule that it names', async () => {
    const rules = [
      { name: 'dear', matches: [{ path: { value: '/dear' } }], backendRefs: [{ name: 'web', port: 8080 }] },
      { name: 'rest', backendRefs: [{ name: 'web', port: 8080 }] },
    ]
    await apply(mesh, 'HTTPRoute', 'web', { ...web({}), rules })
    await apply(mesh, 'FaultPolicy', 'web', {
      targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: 'web', sectionName: 'dear' }],
      from: [{ service: 'other' }],
      abort: { httpStatus: 503 },
    })
    assert.deepEqual((await call(caller, { path: '/dear', times: 10 })).tally, { '200 web': 10 })
    assert.deepEqual((await call(other, { path: '/dear', times: 10 })).tally, { '503 fault-injected': 10 })
    assert.deepEqual((await call(other, { path: '/', times: 10 })).tally, { '200 web': 10 })
    await apply(mesh, 'HTTPRoute', 'web', web({}))
    await mesh.until('the missing rule in its status', async () =>
      /^TargetNotFound: spec\.targetRefs\[0\]: HTTPRoute default\/web has no rule named dear$/.test(
        (await verdicts(mesh, 'FaultPolicy', 'web'))[0] ?? '',
      ),
    )
    assert.deepEqual((await call(other, { path: '/dear', times: 10 })).tally, { '200 web': 10 })
  })

  test('gRPC calls end with the status asked for, plain HTTP with the one of the same meaning; a reset has no answer', async () => {
    const fault = (abort: object) => apply(mesh, 'FaultPolicy', 'web', { targetRefs: [{ name: 'web' }], abort })
    await fault({ grpcStatus: 8 })
    assert.deepEqual((await call(caller, { by: 'grpc', times: 5 })).tally, { 'grpc 8 fault-injected': 5 })
    assert.deepEqual((await call(caller, { by: '1', times: 5 })).tally, { '429 fault-injected': 5 })
    await fault({ httpStatus: 503 })
    assert.deepEqual((await call(caller, { by: 'grpc', times: 5 })).tally, { 'grpc 14 fault-injected': 5 })
    await fault({ reset: true })
    assert.deepEqual((await call(caller, { by: '1', times: 5 })).tally, { ECONNRESET: 5 })
    const [reset = ''] = Object.keys((await call(caller, { by: '2', times: 1 })).tally)
    assert.match(reset, /^reset [1-9]/)
  })

  test('connections of TCP are held up or reset, for their part of them', async () => {
    const targetRefs = [{ name: 'echo' }]
    const connect = async (times: number): Promise<{ readonly tally: Readonly<Record<string, number>>; readonly ms: readonly number[] }> =>
      JSON.parse(await caller.says(`${process.execPath} ${join(import.meta.dirname, 'route-filters/connect.mjs')} echo 7000 ${times}`))
    assert.deepEqual((await connect(10)).tally, { hello: 10 })
    await apply(mesh, 'FaultPolicy', 'echo', { targetRefs, abort: { reset: true, percent: 40 } })
    const { tally } = await connect(400)
    const reset = tally['ECONNRESET'] ?? 0
    assert.deepEqual(tally, { hello: 400 - reset, ECONNRESET: reset })
    // Five standard deviations: √(400 · 0.4 · 0.6) = 9.8.
    assert.ok(Math.abs(reset - 160) < 49, JSON.stringify(tally))
    assert.equal(await metric(mesh, 'caller', 'weft_tcp_connections_closed_total', 'reason="fault-injected"'), reset)
    await apply(mesh, 'FaultPolicy', 'echo', { targetRefs, delay: { fixed: '300ms' } })
    const late = await connect(5)
    assert.deepEqual(late.tally, { hello: 5 })
    assert.ok(late.ms[0]! >= 295, `${late.ms}`)
    await apply(mesh, 'FaultPolicy', 'echo', { targetRefs, abort: { httpStatus: 503 } })
    const refusal = 'Invalid: spec.targetRefs[0]: port 7000 of Service default/echo speaks tcp: '
    await mesh.until(
      'the refusal in its status',
      async () => (await verdicts(mesh, 'FaultPolicy', 'echo'))[0]?.startsWith(refusal) === true,
    )
    await remove(mesh, 'FaultPolicy', 'echo')
  })

  test('a delay holds requests up, counts for their timeout, and ends by itself at its time', async () => {
    const expires = new Date(Date.now() + 8000).toISOString()
    const targetRefs = [{ name: 'web' }]
    await apply(mesh, 'FaultPolicy', 'web', { targetRefs, delay: { fixed: '400ms', jitter: '100ms', percent: 50 }, expires })
    const { tally, ms } = await call(caller, { times: 60, width: 60 })
    assert.deepEqual(tally, { '200 web': 60 })
    const late = ms.filter(each => each >= 295).length
    // Five standard deviations: √(60 · 0.5 · 0.5) = 3.9.
    assert.ok(Math.abs(late - 30) < 20, `${late} of 60 were late: ${ms}`)
    await mesh.until('its end in its status', async () => (await verdicts(mesh, 'FaultPolicy', 'web'))[0]?.startsWith('Expired: ') === true)
    assert.ok(Date.now() >= Date.parse(expires))
    const after = await call(caller, { times: 20 })
    assert.equal(after.first['x-weft-fault'], undefined)
    assert.ok(after.ms[10]! < 295, `${after.ms}`)
    await apply(mesh, 'HTTPRoute', 'web', web({ timeouts: { request: '200ms' } }))
    await apply(mesh, 'FaultPolicy', 'web', { targetRefs, delay: { fixed: '30s' } })
    assert.deepEqual((await call(caller, { times: 4 })).tally, { '504 upstream-timeout': 4 })
    await remove(mesh, 'FaultPolicy', 'web')
    assert.deepEqual((await call(caller, { times: 4 })).tally, { '200 web': 4 })
  })
})
