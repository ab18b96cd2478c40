/** Envoy as the sidecar of a caller makes the health checks of a BackendPolicy through mutual TLS, leaves out who fails, and goes by ServiceSubsets. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { addressBeside, envoyBeside, lacksEnvoy } from '../harness/envoy-sidecar.ts'
import { active } from '../harness/front.ts'
import { kinds, Mesh } from '../harness/mesh.ts'

const weft = (plural: string): KindPath => ({ group: 'weft.dev', version: 'v1alpha1', plural, namespaced: true })
const script = (name: string): string => join(import.meta.dirname, 'health-checks', name)

describe('health checks made by Envoy', { skip: lacksEnvoy, timeout: 180_000 }, () => {
  let mesh: Mesh
  let host = ''
  const names = ['one', 'two'] as const
  const stateOf = (name: string): string => join(mesh.folder, `state-${name}`)

  before(async () => {
    mesh = await Mesh.start()
    const ports = ['8080/http', '8083/grpc', '8081/tcp'].flatMap(port => ['--port', port])
    for (const name of names)
      mesh.run(`web-${name}`, [process.execPath, script('server.mjs')], {
        flags: ['--service', 'web', '--app-version', name, ...ports],
        env: { NAME: name, STATE: stateOf(name) },
      })
    const agent = envoyBeside(mesh, 'caller')
    await mesh.healthy('web', 2)
    const { spec } = await mesh.client.get(kinds.service, 'web', { namespace: 'default' })
    host = await addressBeside(mesh, agent, (spec as { clusterIP: string }).clusterIP)
  })
  after(() => mesh?.[Symbol.asyncDispose]())

  const apply = async (path: KindPath, kind: string, name: string, spec: object): Promise<void> => {
    const apiVersion = path.group === 'weft.dev' ? 'weft.dev/v1alpha1' : `${path.group}/v1`
    const document = { apiVersion, kind, metadata: { name, namespace: 'default' }, spec } as unknown as Resource
    const { resource } = await mesh.client.apply(path, document, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
  }
  const whoServes = (kind: string): Promise<string> =>
    new Promise(resolve =>
      execFile(process.execPath, [script('caller.mjs'), JSON.stringify({ kind, host, times: 8 })], { timeout: 30_000 }, (error, stdout) => {
        // Not yet bound, or not in time: nobody serves.
        if (error) return resolve(String(error))
        const answers = JSON.parse(stdout) as readonly { by: string; status?: number }[]
        resolve([...new Set(answers.map(({ by, status }) => (names.some(name => name === by) ? by : String(status))))].sort().join())
      }),
    )

  for (const [kind, question] of [
    ['http', { http: { path: '/healthz' } }],
    ['grpc', { grpc: { service: 'shop.Cart' } }],
    ['tcp', { tcp: { send: { text: 'PING\r\n' }, expect: [{ text: '+PONG' }] } }],
  ] as const)
    test(`${kind}: it asks by mutual TLS in the version that is spoken there, and calls only who serves`, async () => {
      const often = { interval: '200ms', timeout: '200ms', unhealthyThreshold: 2, healthyThreshold: 1, whileIdle: true }
      const sectionName = { http: 'port-8080', grpc: 'port-8083', tcp: 'port-8081' }[kind]
      const targetRefs = [{ name: 'web', sectionName }]
      await apply(weft('backendpolicies'), 'BackendPolicy', `web-${kind}`, {
        targetRefs,
        balance: 'RoundRobin',
        healthCheck: { ...often, ...question },
      })
      await mesh.until('both serve', async () => (await whoServes(kind)) === 'one,two')
      writeFileSync(stateOf('two'), 'ill')
      await mesh.until('two is left out', async () => (await whoServes(kind)) === 'one')
      assert.equal(await whoServes(kind), 'one')
      rmSync(stateOf('two'))
      await mesh.until('two is back', async () => (await whoServes(kind)) === 'one,two')
    })

  test('a route to a ServiceSubset leads to its endpoints only', async () => {
    await apply(weft('servicesubsets'), 'ServiceSubset', 'web-two', { service: 'web', labels: { version: 'two' } })
    await apply(kinds.httpRoute, 'HTTPRoute', 'web', {
      parentRefs: [{ group: '', kind: 'Service', name: 'web', port: 8080 }],
      rules: [{ backendRefs: [{ group: 'weft.dev', kind: 'ServiceSubset', name: 'web-two', port: 8080 }] }],
    })
    await mesh.until('only two answers', async () => (await whoServes('http')) === 'two')
  })
})
