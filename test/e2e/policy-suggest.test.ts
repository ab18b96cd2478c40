/** Least privilege learnt from traffic in a real mesh: calls are seen, policies suggested, applied and kept; changes rehearsed; the mesh locked down. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { CallSeen } from '../../src/api/mesh-api.ts'
import { canCapture } from '../../src/io/namespace.ts'
import { Mesh, root, type Shell } from '../harness/mesh.ts'
import { apply, call, remove, serve } from './route-filters/shop.ts'

const verdict = await canCapture()
const script = (folder: string, name: string): string => join(import.meta.dirname, folder, name)

describe('least privilege', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`, timeout: 180_000 }, () => {
  let mesh: Mesh
  let friend: Shell
  let stranger: Shell

  before(async () => {
    mesh = await Mesh.start()
    serve(mesh, 'web')
    serve(mesh, 'other')
    mesh.run('raw', [process.execPath, script('route-filters', 'echo.mjs')], { flags: ['--port', '7000/tcp'] })
    mesh.run('quote', [process.execPath, script('udp', 'echo.mjs'), 'quote', '7000'], { flags: ['--port', '7000/udp'] })
    for (const name of ['web', 'other', 'raw', 'quote']) await mesh.healthy(name)
    friend = mesh.shell('friend')
    stranger = mesh.shell('stranger')
    await Promise.all([friend.says('true'), stranger.says('true')])
  })
  after(async () => {
    await friend?.[Symbol.asyncDispose]()
    await stranger?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  const tally = async (shell: Shell, question: object = {}) => (await call(shell, { times: 3, width: 1, ...question })).tally
  const bytes = async (shell: Shell): Promise<unknown> =>
    JSON.parse(await shell.says(`${process.execPath} ${script('authorization', 'connect.mjs')} raw 7000 2`))
  const datagrams = async (shell: Shell) => shell.says(`${process.execPath} ${script('access', 'ask.mjs')} quote 7000`)
  const file = (name: string, text: string): string => {
    const path = join(mesh.folder, name)
    writeFileSync(path, text)
    return path
  }
  /** Everything that callers need. */
  const needed = async (): Promise<readonly unknown[]> => [
    await tally(friend, { path: '/orders/17' }),
    await tally(friend, { path: '/orders/18/lines?x=1', by: '2' }),
    await tally(friend, { path: '/orders', method: 'POST' }),
    await tally(friend, { path: '/shop.Cart/Add', by: 'grpc' }),
    await tally(stranger, { path: '/health' }),
    await bytes(friend),
    await datagrams(stranger),
  ]
  const well = [
    { '200 web': 3 },
    { '200 web': 3 },
    { '200 web': 3 },
    { 'grpc undefined web': 3 },
    { '200 web': 3 },
    { hello: 2 },
    'heard heard heard\n',
  ]
  const seen = async (): Promise<readonly string[]> => (await mesh.client.calls()).calls.map(tell).sort()
  const tell = ({ identity, service, port, protocol, method, path, outcome }: CallSeen): string =>
    [identity.split('/').at(-1), service, port, protocol, method, path, outcome].filter(part => part !== '').join(' ')
  const documentOf = (name: string, spec: object): string =>
    JSON.stringify({ apiVersion: 'weft.dev/v1alpha1', kind: 'AccessPolicy', metadata: { name, namespace: 'default' }, spec })

  test('the called proxies see who calls what, ids of paths left out, over HTTP/1, HTTP/2, gRPC, TCP and UDP', async () => {
    assert.deepEqual(await needed(), well)
    const expected = [
      'friend raw.default 7000 tcp allowed',
      'friend web.default 8080 grpc POST /shop.Cart/Add allowed',
      'friend web.default 8080 http GET /orders/* allowed',
      'friend web.default 8080 http POST /orders allowed',
      'friend web.default 8080 http2 GET /orders/* allowed',
      'stranger quote.default 7000 udp allowed',
      'stranger web.default 8080 http GET /health allowed',
    ]
    // A session of datagrams is told when it is over.
    await mesh.until('all was told', async () => (await seen()).length >= expected.length, 60_000).catch(() => {})
    assert.deepEqual(await seen(), expected)
  })

  test('weft policy suggest writes policies that allow what was seen: applied, the same goes on and all else is denied', async () => {
    const { code, stdout, stderr } = await mesh.weft('policy', 'suggest', '--paths')
    assert.equal(code, 0, stderr)
    assert.match(stderr, /^watching for \d+s: 7 kinds of calls/)
    assert.match(stderr, /no rule names these calls:\n(.*\n)*  friend\.default → web\.default:8080 GET \/orders\/\*/)
    const path = file('suggested.yaml', stdout)
    const applied = await mesh.weft('apply', '-f', path, '--wait')
    assert.equal(applied.code, 0, applied.stderr)
    assert.deepEqual(await needed(), well)
    assert.deepEqual(await tally(friend, { path: '/orders/17', method: 'DELETE' }), { '403 access-denied': 3 })
    assert.deepEqual(await tally(friend, { path: '/health' }), { '403 access-denied': 3 })
    assert.deepEqual(await tally(friend, { path: '/shop.Cart/Empty', by: 'grpc' }), { 'grpc 7 access-denied': 3 })
    assert.deepEqual(await tally(stranger, { path: '/orders/17', by: '2' }), { '403 access-denied': 3 })
    assert.deepEqual(await bytes(stranger), { refused: 2 })
    assert.equal(await datagrams(friend), 'ECONNREFUSED ECONNREFUSED ECONNREFUSED\n')
  })

  test('then there is nothing more to suggest; rules that nobody needed and calls that were denied are told', async () => {
    await apply(mesh, 'AccessPolicy', 'spare', {
      targetRefs: [{ name: 'web' }],
      rules: [{ from: [{ serviceAccounts: ['nobody'] }] }],
    })
    type Told = { policies: unknown[]; uncovered: unknown[]; denied: CallSeen[]; unused: { policy: string; rule: number }[] }
    const ask = async (...flags: readonly string[]): Promise<Told> =>
      JSON.parse((await mesh.weft('policy', 'suggest', '-o', 'json', ...flags)).stdout) as Told
    await mesh.until('the denials and the rules were told', async () => {
      const { denied, unused } = await ask()
      return denied.length >= 5 && unused.length === 1
    })
    const told = await ask()
    assert.deepEqual([told.policies, told.uncovered], [[], []])
    assert.deepEqual(
      told.unused.map(({ policy, rule }) => `${policy}#${rule}`),
      ['default/spare#0'],
    )
    assert.ok(told.denied.map(tell).includes('friend web.default 8080 http DELETE /orders/* denied'), JSON.stringify(told.denied.map(tell)))
    assert.equal((await ask('--all')).policies.length, 3)
    await remove(mesh, 'AccessPolicy', 'spare')
  })

  test('weft rehearse lists the calls whose verdict or way a document would change, and changes nothing', async () => {
    const noPosts = file(
      'no-posts.json',
      documentOf('no-posts', {
        targetRefs: [{ name: 'web' }],
        action: 'Deny',
        rules: [{ to: [{ methods: ['POST'], notPaths: [{ value: '/shop.Cart' }] }] }],
      }),
    )
    type Flip = { call: CallSeen; before: { verdict: string; route: string }; after: { verdict: string; by?: string; backends: string[] } }
    const rehearse = async (path: string) => {
      const { code, stdout } = await mesh.weft('rehearse', '-f', path, '-o', 'json')
      return { code, flips: (JSON.parse(stdout) as { flips: Flip[] }).flips }
    }
    const denied = await rehearse(noPosts)
    assert.deepEqual(
      [denied.code, denied.flips.map(({ call, before, after }) => [tell(call), before.verdict, after.verdict, after.by])],
      [1, [['friend web.default 8080 http POST /orders allowed', 'Allow', 'Deny', 'default/no-posts/0']]],
    )
    const text = await mesh.weft('rehearse', '-f', noPosts)
    assert.match(
      text.stdout,
      /friend\.default → web\.default:8080 POST \/orders +\d+ +Allow +Deny +rule 0 of AccessPolicy default\/no-posts denies it/,
    )
    const route = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'health', namespace: 'default' },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'web' }],
        rules: [
          { matches: [{ path: { type: 'Exact', value: '/health' } }], backendRefs: [{ name: 'other', port: 8080 }] },
          { backendRefs: [{ name: 'web', port: 8080 }] },
        ],
      },
    }
    const routed = await rehearse(file('route.json', JSON.stringify(route)))
    assert.equal(routed.code, 1)
    const health = routed.flips.find(({ call }) => tell(call) === 'stranger web.default 8080 http GET /health allowed')
    assert.deepEqual(health?.after.backends, ['other.default'])
    const same = await rehearse(join(mesh.folder, 'suggested.yaml'))
    assert.deepEqual(same, { code: 0, flips: [] })
    assert.deepEqual(await needed(), well)
  })

  test('the same without a mesh: calls from a file, and documents that stand for what is there', async () => {
    const calls = file('calls.json', JSON.stringify(await mesh.client.calls()))
    const services = ['web', 'raw', 'quote'].map(name => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name },
      spec: {
        selector: { app: name },
        ports: [
          {
            port: name === 'web' ? 8080 : 7000,
            protocol: name === 'quote' ? 'UDP' : 'TCP',
            ...(name === 'web' ? { appProtocol: 'http' } : {}),
          },
        ],
      },
    }))
    const base = file('base.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: services }))
    const offline = async (...paths: readonly string[]) => {
      const { code, stdout, stderr } = await mesh.weft(
        'rehearse',
        '--calls',
        calls,
        '--base',
        base,
        ...paths.flatMap(path => ['-f', path]),
        '-o',
        'json',
      )
      assert.notEqual(stdout, '', stderr)
      return { code, calls: (JSON.parse(stdout) as { flips: { call: CallSeen }[] }).flips.map(({ call }) => tell(call)) }
    }
    const suggested = await offline(join(mesh.folder, 'suggested.yaml'))
    assert.equal(suggested.code, 1)
    assert.deepEqual(
      suggested.calls.filter(each => each.endsWith('allowed')),
      [],
      'what was seen stays allowed',
    )
    const bad = await mesh.weft('rehearse', '--calls', base, '--base', base, '-f', base)
    assert.equal(bad.code, 2)
    assert.match(bad.stderr, /has no list "calls"/)
  })

  test('weft lockdown shows first, refuses while it is not safe, and with --apply shuts the mesh without a call denied that is needed', async () => {
    for (const name of ['web', 'raw', 'quote']) await remove(mesh, 'AccessPolicy', `suggested-${name}`)
    const unsafe = await mesh.weft('lockdown', '--apply')
    assert.equal(unsafe.code, 1)
    assert.match(unsafe.stderr, /less than 60m: who calls seldom was not seen/)
    assert.match(unsafe.stderr, /it is not safe yet, and nothing was changed/)
    await apply(mesh, 'Mesh', 'default', { access: { namespaces: [{ name: 'elsewhere', default: 'Allow' }] } })
    const shown = await mesh.weft('lockdown', '--min-watch', '1s')
    assert.match(shown.stderr, /what no policy is about stays open in the namespace elsewhere/)
    assert.equal(shown.code, 0, shown.stderr)
    assert.match(shown.stderr, /nobody called these, and nobody will be able to: other\.default/)
    assert.match(shown.stderr, /of what was seen, nothing would be denied/)
    assert.match(shown.stdout, /kind: Mesh\n.*\n.*\n.*\n +access:\n +default: Deny/)
    const kind = { group: 'weft.dev', version: 'v1alpha1', plural: 'accesspolicies', namespaced: true }
    assert.deepEqual((await mesh.client.list(kind)).items, [], 'nothing was changed')
    const done = await mesh.weft('lockdown', '--apply', '--min-watch', '1s')
    assert.equal(done.code, 0, done.stderr)
    assert.deepEqual(await needed(), well)
    const late = mesh.shell('late')
    assert.deepEqual(await tally(late), { '403 access-denied': 3 })
    assert.deepEqual(await bytes(late), { refused: 2 })
    await late[Symbol.asyncDispose]()
    const again = await mesh.weft('lockdown', '--apply', '--min-watch', '1s')
    assert.deepEqual([again.code, again.stderr.includes('the mesh is locked down already')], [0, true], again.stderr)
  })
})

test('weft policy test answers for documents without a mesh: 0 when all is met, 1 when not, and where a file is wrong', async () => {
  await using mesh = new Mesh()
  const example = join(root, 'examples/policy-test/policy-test.yaml')
  const good = await mesh.weft('policy', 'test', example)
  assert.equal(good.code, 0, good.stdout + good.stderr)
  assert.match(good.stdout, /8 expectations, all met\n$/)
  assert.ok(readFileSync(join(root, 'docs/guide/least-privilege.md'), 'utf8').includes('examples/policy-test'))
  const documents = join(root, 'examples/policy-test/documents/shop.yaml')
  const file = (text: string): string => {
    const path = join(mesh.folder, 'test.yaml')
    writeFileSync(path, text)
    return path
  }
  const run = (text: string, ...flags: readonly string[]) =>
    mesh.weft('policy', 'test', file(text), '-f', documents, '-n', 'shop', ...flags)
  const wrong = await run(
    'workloads: [{ service: web }]\nexpect:\n  - { from: web, to: cart:8080, then: Allow }\n  - { from: web, to: cart:8080, request: GET /cart, then: Allow, by: other }\n',
  )
  assert.equal(wrong.code, 1)
  assert.match(wrong.stdout, /test\.yaml:3: web → cart:8080 GET \/: expected Allow, got Deny: no Allow policy matches/)
  assert.match(wrong.stdout, /test\.yaml:4: .*: expected by other, got shop\/cart-callers\/0/)
  const xml = await run('expect: [{ from: who, to: cart, then: Deny }]\n', '-o', 'junit')
  assert.equal(xml.code, 1)
  assert.match(xml.stdout, /<testsuites tests="1" failures="1">[^]*nobody named &quot;who&quot; runs in shop/)
  const misspelt = await run('expect:\n  - { from: web, to: cart, then: deny }\n  - { form: web, to: cart, then: Deny }\n')
  assert.equal(misspelt.code, 1)
  assert.match(misspelt.stderr, /test\.yaml:2:\d+: expect\[0\]\.then: must be Allow, Deny/)
  assert.match(misspelt.stderr, /test\.yaml:3:\d+: expect\[1\]\.form: unknown field \(did you mean "from"\?\)/)
  const other = await run('workloads: [{ service: web }]\nexpect: [{ from: web, to: cart:81, then: no-listener }]\n', '-o', 'json')
  assert.equal(other.code, 0, other.stdout)
})
