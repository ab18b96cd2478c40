/** Envoy as a sidecar asks the control plane about the limit of all workloads together, and shares it with our own proxy: the same keys, the same overrides. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { envoyBeside, lacksEnvoy } from '../harness/envoy-sidecar.ts'
import { freePort } from '../harness/machine.ts'
import { Mesh, type Shell } from '../harness/mesh.ts'
import { apply, call, metric, remove, serve } from './route-filters/shop.ts'

const service = `apiVersion: v1
kind: Service
metadata: { name: web, namespace: default }
spec: { selector: { app: web }, ports: [{ name: http, port: 8080, targetPort: http, appProtocol: http }] }
`

describe('a limit that Envoy and Weft share', { skip: lacksEnvoy, timeout: 180_000 }, () => {
  let mesh: Mesh
  let caller: Shell
  let other: Shell

  before(async () => {
    mesh = await Mesh.start()
    const path = join(mesh.folder, 'service.yaml')
    writeFileSync(path, service)
    assert.equal((await mesh.weft('apply', '-f', path)).code, 0)
    serve(mesh, 'web-weft', 'web', {}, 'http:8080/http')
    const ports = { HTTP1: await freePort(), HTTP2: await freePort(), TCP: await freePort(), UDP: await freePort() }
    mesh.spawn([process.execPath, join(import.meta.dirname, 'sidecar/server.mjs')], {
      env: { NAME: 'web-envoy', ...Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)])) },
    })
    envoyBeside(mesh, 'web-envoy', '--service', 'web', '--port', `http:${ports.HTTP1}/http`)
    await mesh.healthy('web', 2)
    caller = mesh.shell('caller')
    other = mesh.shell('other')
    await Promise.all([caller.says('true'), other.says('true')])
    await apply(mesh, 'Mesh', 'default', { rateLimits: { timeout: '5s' } })
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await other?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  const passed = (tally: Readonly<Record<string, number>>): number =>
    Object.entries(tally).reduce((total, [key, times]) => total + (key.startsWith('200') ? times : 0), 0)

  test('both together let in one limit', async () => {
    await apply(mesh, 'RateLimitPolicy', 'shared', {
      targetRefs: [{ name: 'web' }],
      global: { requests: 20, interval: '1h', failOpen: false },
    })
    const { tally } = await call(caller, { times: 60, width: 4 })
    assert.equal(passed(tally), 20, JSON.stringify(tally))
    assert.ok((tally['200'] ?? 0) > 0 && (tally['200 web-weft'] ?? 0) > 0, `each of them served some: ${JSON.stringify(tally)}`)
    assert.ok((tally['429'] ?? 0) > 0, `Envoy refuses some: ${JSON.stringify(tally)}`)
    await remove(mesh, 'RateLimitPolicy', 'shared')
  })

  test('both tell callers, paths and headers apart alike, and what has none', async () => {
    await apply(mesh, 'RateLimitPolicy', 'keyed', {
      targetRefs: [{ name: 'web' }],
      by: [{ type: 'Identity' }, { type: 'Path' }, { type: 'Header', header: 'X-Tenant' }],
      global: { requests: 4, interval: '1h' },
      overrides: [{ when: [{ type: 'Identity', values: ['default/other'] }], global: { requests: 8, interval: '1h' } }],
    })
    const through = async (shell: Shell, path: string, headers: Readonly<Record<string, string>> = {}) =>
      passed((await call(shell, { path, headers, times: 30, width: 4 })).tally)
    assert.equal(await through(caller, '/a?x=1'), 4)
    assert.equal(await through(caller, '/b'), 4)
    assert.equal(await through(caller, '/b', { 'x-tenant': 'gold' }), 4)
    assert.equal(await through(other, '/a'), 8)
    assert.ok((await metric(mesh, 'caller', 'weft_requests_total', 'code="429"')) > 0)
    await remove(mesh, 'RateLimitPolicy', 'keyed')
  })

  test('without an answer Envoy does as the policy says', async () => {
    await apply(mesh, 'RateLimitPolicy', 'closed', {
      targetRefs: [{ name: 'web' }],
      global: { requests: 1000, interval: '1h', failOpen: false },
    })
    assert.equal(passed((await call(caller, { times: 10 })).tally), 10)
    await mesh.control.stop('SIGKILL')
    const { tally } = await call(caller, { times: 20, width: 2 })
    assert.equal(passed(tally), 0, JSON.stringify(tally))
    assert.equal((tally['503'] ?? 0) + (tally['503 rate-limit-unavailable'] ?? 0), 20, JSON.stringify(tally))
    await mesh.startControl()
    await mesh.until('requests go on', async () => passed((await call(caller, { times: 10 })).tally) === 10)
  })
})
