/** Rules that hold at times, denials that say why, what is open when a time is over, and which proxies keep a policy: in a real mesh. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import type { Explanation } from '../../src/model/explain.ts'
import { Mesh, type Running, type Shell } from '../harness/mesh.ts'
import { apply, call, remove, serve } from './route-filters/shop.ts'

const verdict = await canCapture()
const script = (name: string): string => join(import.meta.dirname, 'access', name)
const policies = { group: 'weft.dev', version: 'v1alpha1', plural: 'accesspolicies', namespaced: true } as const
const in_ = (ms: number): string => new Date(Date.now() + ms).toISOString()

type Enforcement = {
  readonly proxies: number
  readonly enforcing: number
  readonly by?: readonly string[]
  readonly not?: readonly { readonly proxy: string; readonly reason: string; readonly message: string }[]
}

describe('access at times, and told', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`, timeout: 150_000 }, () => {
  let mesh: Mesh
  let friend: Shell
  let held: Running
  const applied = new Set<string>()

  before(async () => {
    mesh = await Mesh.start()
    serve(mesh, 'web')
    const ports = ['8080/http', 'grpc:8081/grpc', 'raw:7000/tcp', 'quote:7001/udp'].flatMap(port => ['--port', port])
    held = mesh.run('held', [process.execPath, script('held.mjs')], { flags: ports })
    for (const name of ['web', 'held']) await mesh.healthy(name)
    friend = mesh.shell('friend')
    await friend.says('true')
  })
  after(async () => {
    await friend?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  const policy = async (name: string, spec: object): Promise<void> => {
    applied.add(name)
    await apply(mesh, 'AccessPolicy', name, spec)
  }
  const clear = async (): Promise<void> => {
    for (const name of applied) await remove(mesh, 'AccessPolicy', name)
    applied.clear()
  }
  const tally = async (question: object = {}) => (await call(friend, { times: 2, width: 1, ...question })).tally
  const statusOf = async (name: string) =>
    (await mesh.client.get(policies, name, { namespace: 'default' })).status as
      | {
          readonly enforcement?: Enforcement
          readonly ancestors?: readonly {
            readonly conditions: readonly {
              readonly type: string
              readonly status: string
              readonly reason: string
              readonly message: string
            }[]
          }[]
        }
      | undefined

  test('a rule holds from its first moment on, and to its last', async () => {
    const from = in_(2_000)
    await policy('soon', { targetRefs: [{ name: 'web' }], rules: [{ when: [{ notBefore: from }] }] })
    await mesh.until('it holds', async () => Object.keys(await tally({ times: 1 })).join() === '200 web')
    assert.ok(Date.now() >= Date.parse(from), 'not before its first moment')
    const to = in_(3_000)
    await policy('soon', { targetRefs: [{ name: 'web' }], rules: [{ when: [{ notAfter: to }] }] })
    await mesh.until('it is over', async () => Object.keys(await tally({ times: 1 })).join() === '403 access-denied')
    assert.ok(Date.now() >= Date.parse(to), 'not before its end')
    await clear()
  })

  test('explain tells of any moment what holds then', async () => {
    const [from, to] = ['2031-05-01T08:00:00Z', '2031-05-02T08:00:00Z']
    await policy('then', { targetRefs: [{ name: 'web' }], rules: [{ when: [{ notBefore: from, notAfter: to }] }] })
    const explained = async (at: string): Promise<Explanation> =>
      (
        JSON.parse((await mesh.weft('explain', 'request', '--from', 'friend', '--to', 'web:8080', '--at', at, '-o', 'json')).stdout) as {
          explanation: Explanation
        }
      ).explanation
    assert.equal((await explained('2031-05-01T10:00:00+02:00')).arrives, 'always')
    const late = await explained(to)
    assert.equal(late.failure?.code, 'access-denied')
    assert.match(
      late.failure.says,
      /no Allow policy matches: it is 2031-05-02T08:00:00Z, and not from 2031-05-01T08:00:00Z, before 2031-05-02T08:00:00Z, of rule 0 of AccessPolicy default\/then, the nearest/,
    )
    assert.deepEqual(await tally(), { '403 access-denied': 2 })
    await clear()
  })

  test('what is open when a time is over ends: WebSockets, streams of gRPC, bytes, datagrams', async () => {
    await policy('a-while', {
      targetRefs: [{ name: 'held' }],
      rules: [{ from: [{ serviceAccounts: ['opener'] }], when: [{ notAfter: in_(12_000) }] }],
    })
    const end = Date.parse(
      (
        (await mesh.client.get(policies, 'a-while', { namespace: 'default' })).spec as {
          rules: readonly { when: readonly { notAfter: string }[] }[]
        }
      ).rules[0]!.when[0]!.notAfter,
    )
    const opener = mesh.run('opener', [process.execPath, script('open.mjs')])
    const told = () =>
      opener.stdout
        .split('\n')
        .slice(0, -1)
        .map(line => JSON.parse(line) as { what: string; how: string; at: number })
    await mesh.until('all four are open', () => told().filter(({ how }) => how === 'open').length === 4, 11_000)
    await mesh.until('all four have ended', () => told().length >= 8, 20_000)
    const ended = told().filter(({ how }) => how !== 'open')
    assert.deepEqual(Object.fromEntries(ended.map(({ what, how }) => [what, how])), {
      websocket: 'ended',
      grpc: 'status 7',
      tcp: 'ECONNRESET',
      udp: 'ECONNREFUSED',
    })
    for (const { what, at } of ended) assert.ok(at >= end && at - end < 3_000, `${what} ended ${at - end} ms after its time`)
    await opener.stop()
    await clear()
  })

  test('what is open ends when rules are tightened, by each of these too', async () => {
    const opener = mesh.run('opener', [process.execPath, script('open.mjs')])
    const told = () =>
      opener.stdout
        .split('\n')
        .slice(0, -1)
        .map(line => JSON.parse(line) as { what: string; how: string })
    await mesh.until('all four are open', () => told().filter(({ how }) => how === 'open').length === 4)
    await policy('shut', { targetRefs: [{ name: 'held' }], action: 'Deny', rules: [{ from: [{ serviceAccounts: ['opener'] }] }] })
    await mesh.until('all four have ended', () => told().length >= 8, 5_000)
    assert.deepEqual(
      Object.fromEntries(
        told()
          .slice(4)
          .map(({ what, how }) => [what, how]),
      ),
      {
        websocket: 'ended',
        grpc: 'status 7',
        tcp: 'ECONNRESET',
        udp: 'ECONNREFUSED',
      },
    )
    await opener.stop()
    await clear()
  })

  test('times that cannot be are refused with their field', async () => {
    const refused = async (window: object): Promise<string> =>
      apply(mesh, 'AccessPolicy', 'never', { targetRefs: [{ name: 'web' }], rules: [{ when: [window] }] }).then(
        () => 'taken',
        (thrown: unknown) => String(thrown instanceof Error ? thrown.message : thrown),
      )
    for (const [window, says] of [
      [{ days: ['Mon'], timeZone: 'Europe/Atlantis' }, /timeZone.*no name of the IANA/],
      [{ days: ['Mon'] }, /timeZone.*is needed/],
      [{ from: '09:00', to: '09:00', timeZone: 'UTC' }, /must differ from "from"/],
      [{ from: '09:00', timeZone: 'UTC' }, /give both from and to/],
      [{ from: '25:00', to: '26:00', timeZone: 'UTC' }, /HH:MM/],
      [{ notBefore: '2026-12-02T00:00:00Z', notAfter: '2026-12-01T00:00:00Z' }, /would end before it begins/],
      [{ notBefore: '2026-02-30T00:00:00Z' }, /there is no such day/],
      [{ notBefore: '2026-12-02' }, /RFC 3339/],
      [{ timeZone: 'UTC' }, /goes with days/],
      [{}, /must say something/],
    ] as const)
      assert.match(await refused(window), says, JSON.stringify(window))
  })

  test('only callers that the Mesh names are told why; the log tells it always', async () => {
    await policy('gets', {
      targetRefs: [{ name: 'web' }],
      rules: [{ from: [{ serviceAccounts: ['friend'] }], to: [{ paths: [{ value: '/api' }] }] }],
    })
    const why = 'no Allow policy matches: path /admin is not under /api, of rule 0 of AccessPolicy default/gets, the nearest'
    const detail = async (): Promise<string> => (await call(friend, { path: '/admin' })).first['x-weft-error-detail'] ?? ''
    assert.ok(!(await detail()).includes('gets'))
    await apply(mesh, 'Mesh', 'default', { access: { tellWhy: ['spiffe://weft.local/ns/default/sa/friend'] } })
    assert.ok((await detail()).endsWith(why), await detail())
    await apply(mesh, 'Mesh', 'default', { access: { tellWhy: ['spiffe://weft.local/ns/default/sa/other'] } })
    assert.ok(!(await detail()).includes('gets'))
    await mesh.until('the log has it', () => mesh.logs().includes(why))
    await clear()
  })

  test('a namespace may have a default of its own', async () => {
    await apply(mesh, 'Mesh', 'default', { access: { default: 'Allow', namespaces: [{ name: 'default', default: 'Deny' }] } })
    assert.deepEqual(await tally(), { '403 access-denied': 2 })
    await apply(mesh, 'Mesh', 'default', { access: { default: 'Deny', namespaces: [{ name: 'default', default: 'Allow' }] } })
    assert.deepEqual(await tally(), { '200 web': 2 })
    await apply(mesh, 'Mesh', 'default', { access: { default: 'Allow' } })
  })

  test('its status names the proxies that keep it, and those that do not, and why', async () => {
    await apply(mesh, 'AccessPolicy', 'all', {
      targetRefs: [{ kind: 'Namespace' }],
      action: 'Deny',
      rules: [{ from: [{ serviceAccounts: ['nobody'] }] }],
    })
    await mesh.until('both keep it', async () => (await statusOf('all'))?.enforcement?.enforcing === 2)
    const whole = await statusOf('all')
    assert.deepEqual(
      whole?.enforcement?.by?.map(name => name.split('-')[0]),
      ['held', 'web'],
    )
    const enforced = (status: Awaited<ReturnType<typeof statusOf>>) =>
      status?.ancestors?.[0]?.conditions.find(({ type }) => type === 'Enforced')
    assert.deepEqual([enforced(whole)?.status, enforced(whole)?.message], ['True', '2 of 2 proxies keep it'])
    assert.match((await mesh.weft('get', 'accesspolicies')).stdout, /^all .*2\/2/m)
    held.child.kill('SIGKILL')
    await mesh.until('one is away', async () => (await statusOf('all'))?.enforcement?.enforcing === 1)
    const half = await statusOf('all')
    assert.deepEqual(
      [half?.enforcement?.not?.[0]?.reason, enforced(half)?.status, enforced(half)?.reason],
      ['ProxyAway', 'False', 'ProxyAway'],
    )
    const described = (await mesh.weft('describe', 'accesspolicy', 'all')).stdout
    assert.match(described, /Enforced +False +ProxyAway .*1 of 2 proxies keep it/)
    await remove(mesh, 'AccessPolicy', 'all')
  })
})
