/** How endpoints are chosen, seen from callers in a real mesh: each algorithm does what it says, sessions stay, the near come first and others help when they are gone. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { kinds, Mesh, root, type Running, type Shell } from '../harness/mesh.ts'

const verdict = await canCapture()
const policies: KindPath = { group: 'weft.dev', version: 'v1alpha1', plural: 'backendpolicies', namespaced: true }
const script = (name: string): string => join(import.meta.dirname, 'balancing', name)

type Kind = 'http' | 'http2' | 'grpc' | 'tcp' | 'udp'
type Call = { readonly path?: string; readonly headers?: Readonly<Record<string, string>> }
type Answer = { readonly by: string; readonly status?: number; readonly cookies: readonly string[]; readonly session?: string }

describe('choosing an endpoint', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let caller: Shell
  const servers = new Map<string, Running>()
  const places: Readonly<Record<string, string>> = { one: 'eu/a', two: 'eu/b', three: 'us/a', four: 'us/a' }

  const start = (name: string): void => {
    const flags = [
      '--service',
      'web',
      '--port',
      '8080/http',
      '--port',
      '8081/tcp',
      '--port',
      '8082/udp',
      '--port',
      '8083/grpc',
      '--ready',
      'tcp',
      '--locality',
      places[name]!,
    ]
    if (name === 'four') flags.push('--weight', '2')
    servers.set(name, mesh.run(`web-${name}`, [process.execPath, script('server.mjs')], { flags, env: { NAME: name } }))
  }

  before(async () => {
    mesh = await Mesh.start()
    for (const name of ['one', 'two', 'three']) start(name)
    await mesh.healthy('web', 3)
    caller = mesh.shell('caller', { flags: ['--locality', 'eu/a'] })
    await caller.says('true')
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  const apply = async (policy: object): Promise<void> => {
    const held = {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'BackendPolicy',
      metadata: { name: 'web', namespace: 'default' },
      spec: { targetRefs: [{ name: 'web' }], ...policy },
    } as Resource
    const { resource } = await mesh.client.apply(policies, held, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
  }
  const ask = async (kind: Kind, calls: readonly Call[], atOnce = 1): Promise<readonly Answer[]> =>
    JSON.parse(
      await caller.says(`${process.execPath} ${script('caller.mjs')} '${JSON.stringify({ kind, host: 'web', calls, atOnce })}'`),
    ) as readonly Answer[]
  const times = (count: number, call: Call = {}): Call[] => Array.from({ length: count }, () => call)
  const tallied = (answers: readonly Answer[]): Readonly<Record<string, number>> => {
    const tally: Record<string, number> = { one: 0, two: 0, three: 0 }
    for (const { by } of answers) tally[by] = (tally[by] ?? 0) + 1
    return tally
  }
  const distinct = (answers: readonly Answer[]): number => new Set(answers.map(({ by }) => by)).size

  test('round robin gives each the same number, over HTTP/1.1, HTTP/2, gRPC, TCP and UDP', async () => {
    await apply({ balance: 'RoundRobin' })
    for (const kind of ['http', 'http2', 'grpc', 'tcp', 'udp'] as const)
      assert.deepEqual(tallied(await ask(kind, times(30))), { one: 10, two: 10, three: 10 }, kind)
  })

  test('random and least request of idle endpoints give each about the same number, over HTTP/1.1, HTTP/2, gRPC and TCP', async () => {
    for (const balance of ['Random', 'LeastRequest']) {
      await apply({ balance })
      // Four standard deviations of 300 draws for one of three.
      for (const kind of ['http', 'http2', 'grpc'] as const)
        for (const count of Object.values(tallied(await ask(kind, times(300)))))
          assert.ok(Math.abs(count - 100) <= 33, `${balance}, ${kind}: ${count} of 300`)
    }
    await apply({ balance: 'Random' })
    for (const count of Object.values(tallied(await ask('tcp', times(150))))) assert.ok(Math.abs(count - 50) <= 24, `tcp: ${count} of 150`)
  })

  test('least request gives the slow one less than its part while requests are under way at once, round robin does not', async () => {
    const slow = times(120, { path: '/?slow=one' })
    await apply({ balance: 'RoundRobin' })
    assert.equal(tallied(await ask('http', slow, 12))['one'], 40)
    for (const policy of [{ balance: 'LeastRequest' }, { balance: 'LeastRequest', choices: 'All' }]) {
      await apply(policy)
      const tally = tallied(await ask('http', slow, 12))
      assert.ok(tally['one']! <= 30, `${JSON.stringify(policy)}: ${JSON.stringify(tally)}`)
    }
  })

  test('least request of all spreads connections of TCP that stay open', async () => {
    await apply({ balance: 'LeastRequest', choices: 'All' })
    assert.deepEqual(tallied(await ask('tcp', times(9))), { one: 3, two: 3, three: 3 })
  })

  test('peak EWMA turns away from the slow one although it has nothing under way', async () => {
    await apply({ balance: 'PeakEWMA' })
    const tally = tallied(await ask('http', times(60, { path: '/?slow=one' })))
    assert.ok(tally['one']! <= 6, JSON.stringify(tally))
  })

  for (const balance of ['RingHash', 'Maglev'])
    test(`${balance}: the same header leads to the same endpoint, over HTTP/1.1 and HTTP/2 alike, and others elsewhere`, async () => {
      await apply({ balance, hash: [{ header: 'X-User' }] })
      const users = Array.from({ length: 40 }, (_, at) => ({ headers: { 'x-user': `user-${at}` } }))
      const first = await ask('http', users)
      assert.equal(distinct(first), 3)
      for (const kind of ['http', 'http2'] as const)
        assert.deepEqual(
          (await ask(kind, users, 4)).map(each => each.by),
          first.map(each => each.by),
        )
    })

  test('a query parameter leads to the same endpoint, and who has none goes anywhere', async () => {
    await apply({ balance: 'Maglev', hash: [{ query: 'user' }] })
    assert.equal(distinct(await ask('http', times(10, { path: '/?a=b&user=7' }))), 1)
    assert.ok(distinct(await ask('http', times(40, { path: '/?a=b' }))) > 1)
  })

  test('a client without the cookie is given one, and with it stays', async () => {
    await apply({ balance: 'RingHash', hash: [{ cookie: { name: 'user', ttl: '1h' } }] })
    const first = await ask('http', times(40))
    assert.equal(distinct(first), 3)
    for (const { by, cookies } of first.slice(0, 4)) {
      assert.match(cookies[0]!, /^user=\w+; Path=\/; Max-Age=3600; HttpOnly$/)
      const again = await ask('http', times(4, { headers: { cookie: `a=b; ${cookies[0]!.split(';')[0]}` } }))
      assert.deepEqual(
        again.map(each => [each.by, each.cookies.length]),
        times(4).map(() => [by, 0]),
      )
    }
  })

  test('who calls by TCP or UDP stays at one endpoint by its address', async () => {
    await apply({ balance: 'Maglev', hash: [{ sourceIP: true }] })
    const [one] = await ask('tcp', times(1))
    assert.deepEqual(new Set((await ask('tcp', times(9))).map(({ by }) => by)), new Set([one!.by]))
    // Port 8082 has a table of its own over the same endpoints, by their own addresses.
    assert.equal(distinct(await ask('udp', times(6), 6)), 1)
  })

  test('a session by cookie or header stays where it began, also when another endpoint joins', async () => {
    await apply({ balance: 'RoundRobin' })
    const rule = (path: string, sessionPersistence: object) => ({
      matches: [{ path: { type: 'PathPrefix', value: path } }],
      sessionPersistence,
      backendRefs: [{ name: 'web', port: 8080 }],
    })
    const route = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'web', port: 8080 }],
        rules: [
          rule('/cookie', { sessionName: 'at', cookieConfig: { lifetimeType: 'Permanent' }, absoluteTimeout: '1h' }),
          rule('/header', { type: 'Header', sessionName: 'X-Session' }),
        ],
      },
    } as Resource
    const { resource } = await mesh.client.apply(kinds.httpRoute, route, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
    const cookies = await ask('http', times(9, { path: '/cookie' }))
    const headers = await ask('http2', times(9, { path: '/header' }))
    assert.deepEqual([distinct(cookies), distinct(headers)], [3, 3])
    const withCookies = cookies.map(({ cookies }) => ({ path: '/cookie', headers: { cookie: cookies[0]!.split(';')[0]! } }))
    const withHeaders = headers.map(({ session }) => ({ path: '/header', headers: { 'x-session': session! } }))
    const stay = async () => {
      assert.deepEqual(
        (await ask('http2', withCookies)).map(each => each.by),
        cookies.map(each => each.by),
      )
      assert.deepEqual(
        (await ask('http', withHeaders)).map(each => each.by),
        headers.map(each => each.by),
      )
    }
    await stay()
    start('four')
    await mesh.healthy('web', 4)
    await stay()
    // Its weight is twice that of the others.
    for (const kind of ['http', 'tcp'] as const) {
      const four = tallied(await ask(kind, times(50, { path: '/cookie' })))['four']!
      assert.ok(Math.abs(four - 20) <= 4, `${four} of 50 over ${kind}`)
    }
    await servers.get('four')!.stop()
    await mesh.healthy('web', 3)
    await mesh.client.delete(kinds.httpRoute, 'web', { namespace: 'default' })
  })

  test('the documents of the example are taken', async () => {
    const { code, stderr } = await mesh.weft('apply', '-f', join(root, 'examples/balancing.yaml'))
    assert.equal(code, 0, stderr)
  })

  test('the endpoints of the same zone come first, then those of the region, then the others', async () => {
    await apply({ balance: 'RoundRobin', locality: { prefer: 'Zone' } })
    await mesh.until('all calls at one', async () => tallied(await ask('http', times(20)))['one'] === 20)
    assert.deepEqual(tallied(await ask('tcp', times(10))), { one: 10, two: 0, three: 0 })
    for (const [gone, next, left] of [
      ['one', 'two', 2],
      ['two', 'three', 1],
    ] as const) {
      await servers.get(gone)!.stop()
      await mesh.healthy('web', left)
      const tally = tallied(await ask('http', times(20)))
      assert.equal(tally[next], 20, `after ${gone}: ${JSON.stringify(tally)}`)
    }
  })
})
