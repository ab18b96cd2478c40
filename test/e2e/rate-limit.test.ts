/** Local rate limits as callers in a real mesh see them: how many come through, what the others are told, and who has a limit of its own. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import { Mesh, root, type Shell } from '../harness/mesh.ts'
import { apply, call, metric, remove, serve, verdicts, web } from './route-filters/shop.ts'

const verdict = await canCapture()

describe('rate limits', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let caller: Shell
  let other: Shell
  let seen: () => readonly string[]

  before(async () => {
    mesh = await Mesh.start()
    seen = serve(mesh, 'web')
    await mesh.healthy('web')
    caller = mesh.shell('caller')
    other = mesh.shell('other')
    await Promise.all([caller.says('true'), other.says('true')])
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await other?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  let count = 0
  /** A bucket that nobody has used: it goes by the name of the policy. */
  const limit = async (spec: object): Promise<string> => {
    if (count > 0) await remove(mesh, 'RateLimitPolicy', `limit-${count}`)
    const name = `limit-${++count}`
    await apply(mesh, 'RateLimitPolicy', name, { targetRefs: [{ name: 'web' }], ...spec })
    return name
  }

  for (const by of ['1', '2'] as const)
    test(`what is more than the burst is answered 429 by the called side, with when to come again (HTTP/${by})`, async () => {
      const name = await limit({ local: { requests: 10, interval: '1h' } })
      const before = seen().length
      const { tally, first, last } = await call(caller, { times: 30, by, width: 1 })
      assert.deepEqual(tally, { '200 web': 10, '429 rate-limited': 20 })
      assert.equal(seen().length - before, 10)
      assert.equal(first['ratelimit-policy'], `"default/${name}";q=10;w=3600`)
      assert.match(first['ratelimit'] ?? '', new RegExp(`^"default/${name}";r=9;t=3\\d\\d$`))
      // One token in six minutes.
      assert.match(last['ratelimit'] ?? '', new RegExp(`^"default/${name}";r=0;t=3[56]\\d$`))
      assert.match(last['retry-after'] ?? '', /^3[56]\d$/)
      assert.equal(await metric(mesh, 'web', 'weft_requests_total', 'reason="rate-limited"', `direction="inbound"`), 20 * Number(by))
    })

  test('gRPC calls beyond the limit end with RESOURCE_EXHAUSTED', async () => {
    await limit({ local: { requests: 3, interval: '1h' } })
    // The plain server answers no gRPC: those that come through have no status of it.
    assert.deepEqual((await call(caller, { times: 8, by: 'grpc', width: 1 })).tally, { 'grpc undefined web': 3, 'grpc 8 rate-limited': 5 })
  })

  test('tokens come back evenly, up to the burst', async t => {
    await limit({ local: { requests: 50, interval: '1s', burst: 10 } })
    const began = performance.now()
    let through = 0
    let asked = 0
    while (performance.now() - began < 3000) {
      const { tally } = await call(caller, { times: 100, width: 8 })
      through += tally['200 web'] ?? 0
      asked += 100
    }
    const seconds = (performance.now() - began) / 1000
    t.diagnostic(`${through} of ${asked} in ${seconds.toFixed(2)} s`)
    // While nobody asks, between two programs, no more than the burst is saved; so it may be less, and never more.
    assert.ok(through <= 10 + 50 * seconds + 1, `${through} in ${seconds} s`)
    assert.ok(through >= 10 + 0.3 * 50 * seconds, `${through} in ${seconds} s`)
  })

  test('by identity each caller has the whole limit, by header each value', async () => {
    await limit({ local: { requests: 5, interval: '1h' }, by: [{ type: 'Identity' }] })
    for (const shell of [caller, other])
      assert.deepEqual((await call(shell, { times: 9, width: 1 })).tally, { '200 web': 5, '429 rate-limited': 4 })
    await limit({ local: { requests: 5, interval: '1h' }, by: [{ type: 'Header', header: 'X-Tenant' }] })
    for (const tenant of ['a', 'b'])
      assert.deepEqual((await call(caller, { times: 9, width: 1, headers: { 'x-tenant': tenant } })).tally, {
        '200 web': 5,
        '429 rate-limited': 4,
      })
    // Whoever says none shares one.
    assert.deepEqual((await call(other, { times: 9, width: 1 })).tally, { '200 web': 5, '429 rate-limited': 4 })
  })

  test('the limit of a rule holds for what it matches, and of two policies for one target the older holds', async () => {
    const rules = [
      { name: 'dear', matches: [{ path: { value: '/dear' } }], backendRefs: [{ name: 'web', port: 8080 }] },
      { backendRefs: [{ name: 'web', port: 8080 }] },
    ]
    await apply(mesh, 'HTTPRoute', 'web', { ...web({}), rules })
    await limit({
      targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: 'web', sectionName: 'dear' }],
      local: { requests: 2, interval: '1h' },
    })
    assert.deepEqual((await call(caller, { path: '/dear/1', times: 5, width: 1 })).tally, { '200 web': 2, '429 rate-limited': 3 })
    assert.deepEqual((await call(caller, { path: '/other', times: 5, width: 1 })).tally, { '200 web': 5 })
    await limit({ local: { requests: 4, interval: '1h' } })
    await apply(mesh, 'RateLimitPolicy', 'younger', {
      targetRefs: [{ name: 'web' }, { name: 'gone' }],
      local: { requests: 1, interval: '1h' },
    })
    assert.deepEqual((await call(caller, { times: 6, width: 1 })).tally, { '200 web': 4, '429 rate-limited': 2 })
    await mesh.until('a conflict in the status', async () => {
      const [first = '', second = ''] = await verdicts(mesh, 'RateLimitPolicy', 'younger')
      return (
        /^Conflicted: spec\.targetRefs\[0\]: RateLimitPolicy default\/limit-\d is older/.test(first) &&
        second.startsWith('TargetNotFound: spec.targetRefs[1]: Service default/gone')
      )
    })
  })

  test('of new connections of TCP so many are taken, and the others closed with the reason in the metrics', async () => {
    const greets = `require('node:net').createServer(s => (s.on('error', () => {}), s.end('hello'))).listen(9000, '127.0.0.1')`
    mesh.run('ledger', [process.execPath, '-e', greets], { flags: ['--port', '9000/tcp'] })
    await mesh.healthy('ledger')
    const spec = { targetRefs: [{ name: 'ledger' }], connections: { new: 5, interval: '1h' } }
    await apply(mesh, 'RateLimitPolicy', 'ledger', spec)
    const script = join(import.meta.dirname, 'route-filters/connections.mjs')
    const tally = JSON.parse(await caller.says(`${process.execPath} ${script} ledger 9000 12`)) as Record<string, number>
    assert.equal(tally['hello'], 5, JSON.stringify(tally))
    assert.equal((tally['closed'] ?? 0) + (tally['ECONNRESET'] ?? 0), 7, JSON.stringify(tally))
    assert.equal(await metric(mesh, 'ledger', 'weft_tcp_connections_closed_total', 'reason="rate-limited"', 'direction="inbound"'), 7)
    assert.equal(await metric(mesh, 'ledger', 'weft_rate_limits_total', 'scope="connections"', 'outcome="limited"'), 7)
    await apply(mesh, 'RateLimitPolicy', 'wrong', { targetRefs: [{ name: 'web' }], connections: { new: 5 } })
    await mesh.until('a refusal in the status', async () => {
      const [said = ''] = await verdicts(mesh, 'RateLimitPolicy', 'wrong')
      return said.startsWith('Invalid') && said.includes('connections are limited where their bytes are opaque')
    })
  })

  test('several keys together, and other limits for some of their values', async () => {
    for (const left of ['younger', 'wrong']) await remove(mesh, 'RateLimitPolicy', left)
    await limit({
      local: { requests: 3, interval: '1h' },
      by: [{ type: 'Method' }, { type: 'Query', query: 'who' }],
      overrides: [{ when: [{ type: 'Query', values: ['gold'] }], local: { requests: 6, interval: '1h' } }],
    })
    const passed = async (path: string, method = 'GET') => (await call(caller, { path, method, times: 9, width: 1 })).tally['200 web']
    assert.equal(await passed('/?who=a'), 3)
    assert.equal(await passed('/?who=a', 'PUT'), 3)
    assert.equal(await passed('/?x=1&who=gold'), 6)
    assert.equal(await passed('/'), 3)
  })

  test('the example of the guide is taken', async () => {
    const { code, stdout, stderr } = await mesh.weft('apply', '-f', join(root, 'examples/rate-limits.yaml'))
    assert.equal(code, 0, `${stdout}${stderr}`)
  })
})
