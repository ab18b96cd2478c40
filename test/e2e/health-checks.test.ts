/** Health checks in a real mesh: callers ask through mutual TLS and leave out who fails; a workload's own proxy asks beside it, and all callers know. */

import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { kinds, Mesh, root, type Shell } from '../harness/mesh.ts'

const verdict = await canCapture()
const policies: KindPath = { group: 'weft.dev', version: 'v1alpha1', plural: 'backendpolicies', namespaced: true }
const script = (name: string): string => join(import.meta.dirname, 'health-checks', name)

type Kind = 'http' | 'http2' | 'grpc' | 'tcp'
type Answer = { readonly by: string; readonly status?: number; readonly detail?: string }
type Standing = { readonly backend: string; readonly workload: string; readonly state: string; readonly reason?: string }

describe('health checks', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let caller: Shell
  let idle: Shell
  const names = ['one', 'two'] as const
  const stateOf = (name: string): string => join(mesh.folder, `state-${name}`)
  const fallIll = (name: string): void => writeFileSync(stateOf(name), 'ill')
  const recover = (name: string): void => rmSync(stateOf(name), { force: true })

  before(async () => {
    mesh = await Mesh.start()
    const ports = ['8080/http', '8083/grpc', '8081/tcp'].flatMap(port => ['--port', port])
    for (const name of names)
      mesh.run(`web-${name}`, [process.execPath, script('server.mjs')], {
        flags: ['--service', 'web', ...ports],
        env: { NAME: name, STATE: stateOf(name) },
      })
    await mesh.healthy('web', 2)
    ;[caller, idle] = [mesh.shell('caller'), mesh.shell('idle')]
    await Promise.all([caller.says('true'), idle.says('true')])
  })
  after(async () => {
    await Promise.all([caller?.[Symbol.asyncDispose](), idle?.[Symbol.asyncDispose]()])
    await mesh?.[Symbol.asyncDispose]()
  })

  const portOf = { http: 8080, http2: 8080, grpc: 8083, tcp: 8081 } as const
  const often = { interval: '200ms', timeout: '200ms', unhealthyThreshold: 2, healthyThreshold: 2 }
  const apply = async (healthCheck: object | undefined, more: object = {}): Promise<void> => {
    const policy = {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'BackendPolicy',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        targetRefs: [{ name: 'web' }],
        balance: 'RoundRobin',
        ...(healthCheck === undefined ? {} : { healthCheck: { ...often, ...healthCheck } }),
        ...more,
      },
    } as unknown as Resource
    const { resource } = await mesh.client.apply(policies, policy, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
  }
  const ask = async (kind: Kind, times = 1, more: object = {}, by = caller): Promise<readonly Answer[]> =>
    JSON.parse(
      await by.says(`${process.execPath} ${script('caller.mjs')} '${JSON.stringify({ kind, host: 'web', times, ...more })}'`),
    ) as readonly Answer[]
  const whoServes = async (kind: Kind): Promise<string> => [...new Set((await ask(kind, 8)).map(({ by }) => by))].sort().join()
  const adminOf = async (service: string, path: string): Promise<string> => {
    const { items } = await mesh.client.list(kinds.workload, { labelSelector: `app=${service}` })
    const { admin } = (items[0]!.status as { proxy: { admin: string } }).proxy
    return (await fetch(`${admin}${path}`)).text()
  }
  const standings = async (service: string): Promise<readonly Standing[]> =>
    (JSON.parse(await adminOf(service, '/status')) as { healthChecks: readonly Standing[] }).healthChecks

  for (const [kind, question, reason] of [
    ['http', { http: { path: '/healthz' } }, 'status'],
    ['http2', { http: { path: '/healthz' } }, 'status'],
    ['grpc', { grpc: { service: 'shop.Cart' } }, 'not-serving'],
    ['tcp', { tcp: { send: { text: 'PING\r\n' }, expect: [{ text: '+PONG' }] } }, 'unexpected-bytes'],
  ] as const)
    test(`${kind}: who fails a check by ${Object.keys(question)[0]} is left out, comes back when it passes, and none is there when all fail`, async () => {
      await apply(question)
      assert.equal(await whoServes(kind), 'one,two')
      fallIll('two')
      await mesh.until('two is left out', async () => (await whoServes(kind)) === 'one')
      const failing = (await standings('caller')).filter(
        ({ state, backend }) => state === 'failing' && backend === `default/web:${portOf[kind]}`,
      )
      assert.ok(failing.length > 0 && failing.every(({ workload }) => workload.startsWith('web-two-')))
      assert.ok(failing[0]!.reason?.startsWith(reason), JSON.stringify(failing))
      const metrics = await adminOf('caller', '/metrics')
      assert.match(metrics, /weft_endpoints_failing_checks\{[^}]*destination_workload="web-two-[^}]*\} [1-9]/)
      assert.match(metrics, new RegExp(`weft_health_checks_total\\{[^}]*outcome="failed",reason="${reason}"\\} [1-9]`))
      fallIll('one')
      await mesh.until('nobody is left', async () => ['no-endpoint', 'closed'].includes(await whoServes(kind)))
      const [answer] = await ask(kind)
      if (kind === 'http') {
        assert.equal(answer!.status, 503)
        assert.match(answer!.detail ?? '', /of 2 endpoints 2 failing the health check/)
      }
      if (kind === 'grpc') assert.equal(answer!.status, 14)
      for (const name of names) recover(name)
      await mesh.until('both serve again', async () => (await whoServes(kind)) === 'one,two')
    })

  test('a proxy that sends no request asks nobody, unless whileIdle says so', async () => {
    await apply({ http: { path: '/healthz' } })
    await ask('http', 2)
    assert.ok((await standings('caller')).length > 0)
    assert.deepEqual(await standings('idle'), [])
    await apply({ http: { path: '/healthz' }, whileIdle: true })
    await mesh.until('the idle one asks', async () => /weft_health_checks_total\{[^}]*passed/.test(await adminOf('idle', '/metrics')))
    await apply(undefined)
    assert.deepEqual(await standings('caller'), [], 'nobody asks where no policy does')
  })

  test('with a panic threshold a check that fails everywhere stops nothing', async () => {
    await apply({ http: { path: '/healthz' } }, { panicThreshold: 50 })
    await ask('http')
    for (const name of names) fallIll(name)
    await mesh.until('both fail', async () => {
      await ask('http')
      return (await standings('caller')).filter(({ state, backend }) => state === 'failing' && backend === 'default/web:8080').length === 2
    })
    assert.equal(await whoServes('http'), 'one,two')
    for (const name of names) recover(name)
    await apply(undefined)
  })

  test('a workload is asked by its own proxy with gRPC or a command, and all callers know at once', async () => {
    const mark = join(mesh.folder, 'state-own')
    const state = { NAME: 'own', STATE: mark }
    const command = [process.execPath, script('server.mjs')]
    const checks = [
      ['by-grpc', ['--ready-grpc', '8083/shop.Cart']],
      // Where it runs: its loopback is not the machine's.
      [
        'by-command',
        ['--ready-command', `${process.execPath} -e "fetch('http://127.0.0.1:8080/healthz').then(r => process.exit(r.ok ? 0 : 1))"`],
      ],
    ] as const
    for (const [name, flags] of checks)
      mesh.run(name, command, {
        flags: ['--port', '8080/http', '--port', '8083/grpc', '--ready-interval', '300ms', '--ready-failures', '2', ...flags],
        env: state,
      })
    for (const [name] of checks) {
      await mesh.healthy(name)
      assert.equal((await ask('http', 1, { host: name }, idle))[0]!.by, 'own')
    }
    writeFileSync(mark, 'ill')
    for (const [name] of checks) {
      await mesh.healthy(name, 0)
      assert.equal((await ask('http', 1, { host: name }, idle))[0]!.by, 'no-endpoint')
    }
    rmSync(mark)
    for (const [name] of checks) {
      await mesh.healthy(name)
      assert.equal((await ask('http', 1, { host: name }, idle))[0]!.by, 'own')
    }
  })

  test('a connection that the proxy of an endpoint takes and its workload does not is no success', async () => {
    mesh.run('deaf', ['sleep', '600'], { flags: ['--port', '9000/tcp', '--ready', 'none'] })
    await mesh.healthy('deaf')
    const policy = {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'BackendPolicy',
      metadata: { name: 'deaf', namespace: 'default' },
      spec: { targetRefs: [{ name: 'deaf' }], healthCheck: { ...often, tcp: {} } },
    } as unknown as Resource
    const { resource } = await mesh.client.apply(policies, policy, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
    await ask('tcp', 1, { host: 'deaf', port: 9000 })
    await mesh.until('it fails', async () =>
      (await standings('caller')).some(
        ({ backend, state, reason }) => backend === 'default/deaf:9000' && state === 'failing' && reason?.startsWith('closed'),
      ),
    )
  })

  test('the documents of the example are taken', async () => {
    const { code, stderr } = await mesh.weft('apply', '-f', join(root, 'examples/health-checks.yaml'))
    assert.equal(code, 0, stderr)
  })
})
