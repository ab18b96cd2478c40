/** Who may call what, as callers in a real mesh meet it: by identity, over every protocol, in any spelling of a path, and when rules change under what is open. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import type { Explanation } from '../../src/model/explain.ts'
import { Mesh, type Shell } from '../harness/mesh.ts'
import { apply, call, metric, remove, serve, verdicts } from './route-filters/shop.ts'

const verdict = await canCapture()
const script = (folder: string, name: string): string => join(import.meta.dirname, folder, name)

describe('access policies', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`, timeout: 120_000 }, () => {
  let mesh: Mesh
  let friend: Shell
  let stranger: Shell
  let seen: () => readonly string[]
  const applied = new Set<string>()

  before(async () => {
    mesh = await Mesh.start()
    seen = serve(mesh, 'web')
    mesh.run('raw', [process.execPath, script('route-filters', 'echo.mjs')], { flags: ['--port', '7000/tcp'] })
    mesh.run('wait', [process.execPath, script('access', 'wait.mjs')], { flags: ['--port', '8080/http'] })
    for (const name of ['web', 'raw', 'wait']) await mesh.healthy(name)
    friend = mesh.shell('friend')
    stranger = mesh.shell('stranger')
    await Promise.all([friend.says('true'), stranger.says('true')])
  })
  after(async () => {
    await friend?.[Symbol.asyncDispose]()
    await stranger?.[Symbol.asyncDispose]()
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
  const tally = async (shell: Shell, question: object = {}) => (await call(shell, { times: 3, width: 1, ...question })).tally
  const bytes = async (shell: Shell): Promise<unknown> =>
    JSON.parse(await shell.says(`${process.execPath} ${script('authorization', 'connect.mjs')} raw 7000 3`))
  const friends = { from: [{ serviceAccounts: ['friend'] }] }

  test('without a policy everybody may call, and nothing is decided', async () => {
    assert.deepEqual(await tally(stranger), { '200 web': 3 })
    assert.equal(await metric(mesh, 'web', 'weft_access_decisions_total'), 0)
  })

  test('an Allow policy lets those in whom it names, over HTTP/1, HTTP/2 and gRPC, and nobody else', async () => {
    await policy('friends', { targetRefs: [{ name: 'web' }], rules: [friends] })
    for (const by of ['1', '2'] as const) {
      assert.deepEqual(await tally(friend, { by }), { '200 web': 3 })
      const before = seen().length
      assert.deepEqual(await tally(stranger, { by }), { '403 access-denied': 3 })
      assert.equal(seen().length, before, 'nothing reached the workload')
    }
    assert.deepEqual(await tally(friend, { by: 'grpc', path: '/shop.Cart/Add' }), { 'grpc undefined web': 3 })
    assert.deepEqual(await tally(stranger, { by: 'grpc', path: '/shop.Cart/Add' }), { 'grpc 7 access-denied': 3 })
    assert.equal(await metric(mesh, 'web', 'weft_access_decisions_total', 'policy="default/friends"', 'rule="0"', 'action="allow"'), 9)
    assert.equal(await metric(mesh, 'web', 'weft_access_decisions_total', 'policy=""', 'action="deny"'), 9)
  })

  test('the caller is told a number and no rule; the log of the called proxy has both', async () => {
    await policy('no-posts', { targetRefs: [{ name: 'web' }], action: 'Deny', rules: [{ to: [{ methods: ['POST'] }] }] })
    const { first } = await call(friend, { method: 'POST' })
    const [, decision] = /: decision (\w+-\w+)$/.exec(first['x-weft-error-detail'] ?? '') ?? []
    assert.ok(decision, JSON.stringify(first))
    assert.ok(!JSON.stringify(first).includes('no-posts'), JSON.stringify(first))
    await mesh.until('the log tells', () =>
      mesh
        .logs()
        .split('\n')
        .some(line => line.includes(decision!) && line.includes('default/no-posts')),
    )
  })

  test('what is denied is denied though it is allowed too', async () => {
    assert.deepEqual(await tally(friend), { '200 web': 3 })
    assert.deepEqual(await tally(friend, { method: 'POST', by: '2' }), { '403 access-denied': 3 })
    assert.equal(await metric(mesh, 'web', 'weft_access_decisions_total', 'policy="default/no-posts"', 'action="deny"'), 4)
  })

  test('weft explain request tells the same verdict', async () => {
    const explained = async (from: string, ...what: readonly string[]): Promise<Explanation> =>
      (
        JSON.parse((await mesh.weft('explain', 'request', '--from', from, '--to', 'web:8080', ...what, '-o', 'json')).stdout) as {
          explanation: Explanation
        }
      ).explanation
    const allowed = await explained('friend', 'GET', '/')
    assert.deepEqual(
      [allowed.arrives, allowed.shares[0]!.endpoints[0]!.way?.access?.says],
      ['always', 'rule 0 of AccessPolicy default/friends allows it'],
    )
    const denied = await explained('friend', 'POST', '/')
    assert.deepEqual([denied.arrives, denied.failure?.code], ['never', 'access-denied'])
    assert.match(denied.failure!.says, /rule 0 of AccessPolicy default\/no-posts denies it/)
    assert.match((await explained('stranger', 'GET', '/')).failure!.says, /no Allow policy matches/)
    await clear()
  })

  test('no spelling of a path gets by a rule, and what is let in arrives as it was judged', async () => {
    await policy('public', { targetRefs: [{ name: 'web' }], rules: [{ to: [{ paths: [{ value: '/public' }] }] }] })
    await policy('no-keys', { targetRefs: [{ name: 'web' }], action: 'Deny', rules: [{ to: [{ paths: [{ value: '/public/keys' }] }] }] })
    const before = seen().length
    for (const path of [
      '/admin',
      '/public/../admin',
      '/public/%2e%2e/admin',
      '/public/..%2fadmin',
      '/public/..;/admin',
      '/Public',
      '/publicity',
    ])
      assert.deepEqual(await tally(friend, { by: '2', path, times: 1 }), { '403 access-denied': 1 }, path)
    for (const path of [
      '/public/keys',
      '//public//keys',
      '/public/./keys/a',
      '/public/%6beys',
      '/public/keys;v=1',
      '/public%2Fkeys',
      '/public/x/..%2fkeys',
    ])
      assert.deepEqual(await tally(friend, { by: '2', path, times: 1 }), { '403 access-denied': 1 }, path)
    for (const path of ['/public/%00', '/public/%252e%252e/admin', '/public/%c0%ae%c0%ae/admin', '/public/%zz', '/../public'])
      assert.deepEqual(await tally(friend, { by: '2', path, times: 1 }), { '400 bad-request': 1 }, path)
    assert.equal(seen().length, before, 'nothing reached the workload')
    for (const path of ['/public/a%2Fb?x=//y', '/x/..//public/./%61'])
      assert.deepEqual(await tally(friend, { by: '2', path, times: 1 }), { '200 web': 1 }, path)
    assert.deepEqual(
      seen()
        .slice(before)
        .map(line => line.split(' ')[1]),
      ['/public/a%2Fb?x=//y', '/public/a'],
    )
    await clear()
  })

  test('each value of a header is looked at by itself', async () => {
    await policy('no-root', {
      targetRefs: [{ name: 'web' }],
      action: 'Deny',
      rules: [{ to: [{ headers: [{ name: 'x-role', values: ['root'] }] }] }],
    })
    assert.deepEqual(await tally(friend, { headers: { 'x-role': 'user, root' } }), { '403 access-denied': 3 })
    assert.deepEqual(await tally(friend, { headers: { 'x-role': 'rooted' } }), { '200 web': 3 })
    await clear()
  })

  test('an audited policy changes nothing, and what it would deny is counted', async () => {
    await policy('tried', { targetRefs: [{ name: 'web' }], action: 'Audit', audits: 'Allow', rules: [friends] })
    const before = await metric(mesh, 'web', 'weft_access_decisions_total', 'action="audit"')
    assert.deepEqual([await tally(friend), await tally(stranger)], [{ '200 web': 3 }, { '200 web': 3 }])
    assert.equal((await metric(mesh, 'web', 'weft_access_decisions_total', 'action="audit"')) - before, 3)
    await clear()
  })

  test('connections of opaque bytes are reset before the workload sees them; a rule of HTTP allows nothing there, and its status says so', async () => {
    assert.deepEqual(await bytes(stranger), { hello: 3 })
    await policy('friends', { targetRefs: [{ name: 'raw' }], rules: [friends] })
    assert.deepEqual([await bytes(friend), await bytes(stranger)], [{ hello: 3 }, { refused: 3 }])
    await policy('friends', { targetRefs: [{ name: 'raw' }], rules: [{ ...friends, to: [{ methods: ['GET'] }] }] })
    assert.deepEqual(await bytes(friend), { refused: 3 })
    assert.match(
      (await verdicts(mesh, 'AccessPolicy', 'friends')).join(),
      /^Invalid: spec\.rules\[0\]\.to\[0\]\.methods: port 7000 of Service default\/raw speaks tcp/,
    )
    await policy('friends', {
      targetRefs: [{ kind: 'Workload', labels: { app: 'raw' } }],
      rules: [{ from: [{ claims: [{ name: 'sub', values: ['ann'] }] }] }],
    })
    assert.deepEqual(await bytes(friend), { refused: 3 })
    assert.match(
      (await verdicts(mesh, 'AccessPolicy', 'friends')).join(),
      /^Invalid: spec\.rules\[0\]\.from\[0\]\.claims: port 7000 of workload raw-\w+\.default speaks tcp/,
    )
    await clear()
    assert.deepEqual(await bytes(stranger), { hello: 3 })
  })

  test('datagrams are judged by who sends them', async () => {
    mesh.run('quote', [process.execPath, script('udp', 'echo.mjs'), 'quote', '7000'], { flags: ['--port', '7000/udp'] })
    await mesh.healthy('quote')
    const ask = (shell: Shell) => shell.says(`${process.execPath} ${script('access', 'ask.mjs')} quote 7000`)
    assert.equal(await ask(stranger), 'heard heard heard\n')
    await policy('friends', { targetRefs: [{ name: 'quote' }], rules: [friends] })
    assert.deepEqual([await ask(friend), await ask(stranger)], ['heard heard heard\n', 'ECONNREFUSED ECONNREFUSED ECONNREFUSED\n'])
    await clear()
  })

  test('where it is found out what bytes are, requests and other bytes have the rules of each', async () => {
    const server = `const { createServer } = require('node:net')
      createServer(s => s.on('error', () => {}).once('data', b => s.end(/HTTP/.test(b) ? 'HTTP/1.1 200 OK\\r\\nx-answered-by: any\\r\\ncontent-length: 0\\r\\n\\r\\n' : b))).listen(7000, '127.0.0.1')`
    mesh.run('any', [process.execPath, '-e', server], { flags: ['--port', 'any:7000/detect'] })
    await mesh.healthy('any')
    const connect = async (): Promise<unknown> =>
      JSON.parse(await friend.says(`${process.execPath} ${script('authorization', 'connect.mjs')} any 7000 2`))
    const to = 'http://any:7000'
    assert.deepEqual([await tally(friend, { to }), await connect()], [{ '200 any': 3 }, { hello: 2 }])
    await policy('gets', { targetRefs: [{ name: 'any' }], rules: [{ ...friends, to: [{ methods: ['GET'] }] }] })
    assert.deepEqual([await tally(friend, { to }), await connect()], [{ '200 any': 3 }, { refused: 2 }])
    assert.deepEqual(await tally(friend, { to, method: 'PUT' }), { '403 access-denied': 3 })
    await clear()
  })

  test('what is open ends when its caller may not any more: bytes, requests of both versions, tunnels', async () => {
    const holder = mesh.run('holder', [process.execPath, script('access', 'hold.mjs'), 'raw', 'wait'])
    const told = () =>
      holder.stdout
        .split('\n')
        .slice(0, -1)
        .map(line => JSON.parse(line) as { what: string; how: string; at: number })
    await mesh.until('all four are open', () => told().filter(({ how }) => how === 'open').length === 4)
    // A rule that does not concern it.
    await policy('others', { targetRefs: [{ kind: 'Namespace' }], action: 'Deny', rules: [{ from: [{ serviceAccounts: ['stranger'] }] }] })
    await new Promise(resolve => setTimeout(resolve, 500))
    assert.equal(told().length, 4, JSON.stringify(told()))
    await policy('shut', { targetRefs: [{ kind: 'Namespace' }], action: 'Deny', rules: [{ from: [{ serviceAccounts: ['holder'] }] }] })
    const since = Date.now()
    await mesh.until('all four have ended', () => told().length >= 8, 5_000)
    const ended = told().filter(({ how }) => how !== 'open')
    assert.deepEqual(
      Object.fromEntries(ended.map(({ what, how }) => [what, what === 'tunnel' ? how.replace('ECONNRESET', 'ended') : how])),
      { tcp: 'ECONNRESET', http1: '403 access-denied', http2: '403 access-denied', tunnel: 'ended' },
    )
    assert.ok(
      ended.every(({ at }) => at - since < 1_000),
      JSON.stringify({ since, ended }),
    )
    await holder.stop()
    await clear()
  })

  test('a policy for the whole mesh is taken from the namespace weft-system, and from no other', async () => {
    const spec = {
      targetRefs: [{ kind: 'Mesh' }],
      action: 'Deny',
      rules: [{ from: [{ namespaces: ['default'], notServiceAccounts: ['default/friend'] }] }],
    }
    await policy('everybody', spec)
    assert.match((await verdicts(mesh, 'AccessPolicy', 'everybody')).join(), /^Invalid: .*weft-system/)
    assert.deepEqual(await tally(stranger), { '200 web': 3 })
    const policies = { group: 'weft.dev', version: 'v1alpha1', plural: 'accesspolicies', namespaced: true } as const
    const document = {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'AccessPolicy',
      metadata: { name: 'everybody', namespace: 'weft-system' },
      spec,
    }
    await mesh.client.apply(
      { group: '', version: 'v1', plural: 'namespaces', namespaced: false },
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'weft-system' } },
      { force: true },
    )
    await mesh.client.apply(policies, document, { force: true })
    await mesh.until('strangers are kept out', async () => Object.keys(await tally(stranger, { times: 1 })).join() === '403 access-denied')
    assert.deepEqual([await tally(friend), await bytes(stranger)], [{ '200 web': 3 }, { refused: 3 }])
    await mesh.client.delete(policies, 'everybody', { namespace: 'weft-system' })
    await mesh.until('they are let in again', async () => Object.keys(await tally(stranger, { times: 1 })).join() === '200 web')
    await clear()
  })

  test('the default of the mesh may be to deny; probes and the workload itself go on', async () => {
    const mesh_ = { group: 'weft.dev', version: 'v1alpha1', plural: 'meshes', namespaced: false } as const
    const put = (access: string) =>
      mesh.client.apply(
        mesh_,
        { apiVersion: 'weft.dev/v1alpha1', kind: 'Mesh', metadata: { name: 'default' }, spec: { access: { default: access } } },
        { force: true },
      )
    await put('Deny')
    await mesh.until('nobody may', async () => Object.keys(await tally(stranger, { times: 1 })).join() === '403 access-denied')
    serve(mesh, 'late')
    await mesh.healthy('late')
    assert.deepEqual(await tally(friend, { to: 'http://late:8080' }), { '403 access-denied': 3 })
    assert.deepEqual(await mesh.healthOf('web'), ['healthy'])
    await policy('friends', { targetRefs: [{ kind: 'Workload', labels: { app: 'late' } }], rules: [friends] })
    assert.deepEqual(await tally(friend, { to: 'http://late:8080' }), { '200 late': 3 })
    assert.deepEqual(await tally(friend), { '403 access-denied': 3 })
    await put('Allow')
    await clear()
    assert.deepEqual(await tally(stranger), { '200 web': 3 })
  })
})
