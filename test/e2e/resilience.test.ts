/** An endpoint that fails, seen by callers in a real mesh: another answers in its place, it is spared a storm of further tries, left out and taken back, and too much at once is refused at once. */

import assert from 'node:assert/strict'
import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { kinds, Mesh, type Shell } from '../harness/mesh.ts'

const verdict = await canCapture()
const policies: KindPath = { group: 'weft.dev', version: 'v1alpha1', plural: 'backendpolicies', namespaced: true }
const script = (name: string): string => join(import.meta.dirname, 'resilience', name)

type Told = { readonly tally: Readonly<Record<string, number>>; readonly seconds: number }

describe('endpoints that fail', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let caller: Shell
  const names = ['one', 'two'] as const
  type Name = (typeof names)[number]
  const file = (what: string, name: Name) => join(mesh.folder, `${what}-${name}`)

  before(async () => {
    mesh = await Mesh.start()
    for (const name of names) {
      for (const what of ['mode', 'seen']) writeFileSync(file(what, name), '')
      set(name, '200')
      for (const what of ['mode', 'seen']) chmodSync(file(what, name), 0o666)
      mesh.run(`web-${name}`, [process.execPath, script('server.mjs')], {
        flags: ['--service', 'web', '--port', '8080/http'],
        env: { MODE: file('mode', name), SEEN: file('seen', name), NAME: name },
      })
    }
    await mesh.healthy('web', 2)
    caller = mesh.shell('caller')
    await caller.says('true')
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    for (const name of names) set(name, '200')
  })

  /** What a server does from now on: a status, `hang-up` or `hold`. */
  const set = (name: Name, mode: string): void => writeFileSync(file('mode', name), mode)
  const seen = (name: Name): number => (existsSync(file('seen', name)) ? statSync(file('seen', name)).size : 0)
  const call = async (times: number, perSecond: number, method = 'GET', by = '1'): Promise<Told> =>
    JSON.parse(
      await caller.says(`${process.execPath} ${script('caller.mjs')} http://web:8080 ${method} ${times} ${perSecond} ${by}`),
    ) as Told

  const apply = async (retry: object | undefined, policy: object | undefined): Promise<void> => {
    const route = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'web' }],
        rules: [{ backendRefs: [{ name: 'web', port: 8080 }], ...(retry === undefined ? {} : { retry }) }],
      },
    } as Resource
    const held = {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'BackendPolicy',
      metadata: { name: 'web', namespace: 'default' },
      spec: { targetRefs: [{ name: 'web' }], balance: 'RoundRobin', ...policy },
    } as Resource
    await mesh.client.apply(kinds.httpRoute, route, { force: true })
    const { resource } = await mesh.client.apply(policies, held, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
  }
  /** Of the caller's proxy: labels, in the order in which they are written, to values. */
  const metric = async (name: string): Promise<Readonly<Record<string, number>>> => {
    const proxy = (await mesh.client.proxies()).find(each => each.service === 'caller')!
    const text = await (await fetch(`${proxy.admin}/metrics`)).text()
    const lines = text.split('\n').filter(line => line.startsWith(`${name}{`))
    return Object.fromEntries(lines.map(line => [line.slice(name.length + 1, line.lastIndexOf('}')), Number(line.split(' ').at(-1))]))
  }
  const leftOut = async (): Promise<readonly { readonly backend: string; readonly endpoints: readonly string[] }[]> => {
    const proxy = (await mesh.client.proxies()).find(each => each.service === 'caller')!
    return ((await (await fetch(`${proxy.admin}/status`)).json()) as { leftOut: Awaited<ReturnType<typeof leftOut>> }).leftOut
  }
  const sum = (samples: Readonly<Record<string, number>>, ...labels: readonly string[]): number =>
    Object.entries(samples).reduce((total, [key, value]) => total + (labels.every(label => key.includes(label)) ? value : 0), 0)

  const generous = { retryConstraint: { budget: { percent: 100 }, minRetryRate: { count: 1000 } } }

  for (const [by, spoken] of [
    ['1', 'HTTP/1.1'],
    ['2', 'HTTP/2'],
  ] as const)
    test(`of two endpoints one fails every request, and every caller gets its answer from the other (${spoken})`, async () => {
      await apply({ codes: [503], attempts: 2, backoff: '5ms' }, generous)
      set('one', '503')
      const before = { one: seen('one'), two: seen('two') }
      for (const method of ['GET', 'POST'])
        assert.deepEqual((await call(100, 200, method, by)).tally, { '200 two': 100 }, `${method} over ${spoken}`)
      assert.equal(seen('two') - before.two, 200)
      assert.ok(seen('one') - before.one >= 60, 'the failing one must have been asked')
      assert.ok(sum(await metric('weft_retries_total'), 'cause="503"', 'outcome="made"') >= 60)
    })

  test('without retry the callers see what fails, so it is the retry that helped', async () => {
    await apply(undefined, undefined)
    set('one', '503')
    const { tally } = await call(100, 200)
    assert.deepEqual(tally, { '503 one': 50, '200 two': 50 })
  })

  test('a connection that breaks is asked again for a GET; a POST is asked once more only where 502 is named', async () => {
    await apply({ codes: [503], attempts: 2, backoff: '5ms' }, generous)
    set('one', 'hang-up')
    assert.deepEqual((await call(40, 200)).tally, { '200 two': 40 })
    const { tally } = await call(40, 200, 'POST')
    assert.ok((tally['502 upstream-reset'] ?? 0) >= 15, JSON.stringify(tally))
    await apply({ codes: [502], attempts: 2, backoff: '5ms' }, generous)
    assert.deepEqual((await call(40, 200, 'POST')).tally, { '200 two': 40 })
  })

  test('a backend that always fails gets no more than a fifth above what its callers ask, and recovers by itself', async t => {
    await apply({ codes: [503], attempts: 5, backoff: '1ms' }, undefined)
    for (const name of names) set(name, '503')
    const before = seen('one') + seen('two')
    const { tally, seconds } = await call(1800, 300)
    const load = seen('one') + seen('two') - before
    const asked = Object.values(tally).reduce((total, count) => total + count, 0)
    t.diagnostic(`${asked} requests in ${seconds.toFixed(1)} s came to ${load} at the backend`)
    assert.equal(asked, 1800)
    assert.deepEqual(
      Object.keys(tally).filter(told => !told.startsWith('503 ')),
      [],
    )
    // A fifth of them, or ten a second; the first second's rate comes on top as the windows fill.
    assert.ok(load > asked && load <= asked * 1.2 + 20, `${load} for ${asked}`)
    assert.ok(sum(await metric('weft_retries_total'), 'outcome="budget"') > 1000)
    for (const name of names) set(name, '200')
    const healed = await call(100, 200)
    assert.equal((healed.tally['200 one'] ?? 0) + (healed.tally['200 two'] ?? 0), 100)
  })

  test('an endpoint that keeps failing is left out, then for longer, and serves again when its time is over', async () => {
    await apply(undefined, {
      outlierDetection: { consecutive5xx: 3, baseEjectionTime: '5s', interval: '60s', maxEjectionPercent: 50 },
    })
    set('one', '500')
    const isOut = async () => sum(await metric('weft_endpoints_ejected'), 'destination_workload="web-one-') === 1
    // Three on end, and what was under way at that moment; from then on nobody reaches it.
    const leaveOut = async (): Promise<void> => {
      await mesh.until('the endpoint left out', async () => ((await call(20, 50)).tally['500 one'] ?? 0) >= 3 && isOut())
      assert.deepEqual((await call(20, 100)).tally, { '200 two': 20 })
      assert.ok(await isOut())
    }
    await leaveOut()
    assert.deepEqual(
      (await leftOut()).map(({ backend, endpoints }) => [backend, endpoints.length]),
      [['default/web:8080', 1]],
    )
    const shown = await mesh.weft('proxy', 'endpoints', 'caller')
    assert.match(shown.stdout, /default\/web:8080 +\S+ +web-one-\S+ +left out /, shown.stdout + shown.stderr)
    await mesh.until('the endpoint back', async () => sum(await metric('weft_endpoints_ejected')) === 0)
    // Still ill: out again, for two steps.
    const again = performance.now()
    await leaveOut()
    set('one', '200')
    await mesh.until('the endpoint back', async () => sum(await metric('weft_endpoints_ejected')) === 0)
    assert.ok(performance.now() - again > 9500, 'the second time lasts two steps')
    const healed = await call(60, 100)
    assert.ok((healed.tally['200 one'] ?? 0) >= 20, JSON.stringify(healed.tally))
    assert.equal(sum(await metric('weft_ejections_total'), 'cause="consecutive5xx"', 'outcome="ejected"'), 2)
  })

  test('what is beyond a limit is refused at once, with the reason', async () => {
    await apply(undefined, { limits: { requests: 5 } })
    for (const name of names) set(name, 'hold')
    const { tally, seconds } = await call(40, 400)
    assert.equal(tally['503 backend-limit'], 35, JSON.stringify(tally))
    assert.equal((tally['200 one'] ?? 0) + (tally['200 two'] ?? 0), 5)
    assert.ok(seconds < 10)
    assert.equal(sum(await metric('weft_requests_total'), 'reason="backend-limit"', 'code="503"'), 35)
    for (const name of names) set(name, '200')
    await mesh.until(
      'all are served again',
      async () => JSON.stringify(Object.keys((await call(20, 20)).tally).sort()) === JSON.stringify(['200 one', '200 two']),
    )
  })
})
