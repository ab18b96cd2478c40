/** ServiceSubsets in a real mesh: routes of every kind lead to a part of a Service by its labels, also while workloads come and go. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { Mesh, root, type Running, type Shell } from '../harness/mesh.ts'

const verdict = await canCapture()
const kindsOf = {
  HTTPRoute: 'httproutes',
  GRPCRoute: 'grpcroutes',
  TCPRoute: 'tcproutes',
  UDPRoute: 'udproutes',
} as const
const subsets: KindPath = { group: 'weft.dev', version: 'v1alpha1', plural: 'servicesubsets', namespaced: true }
const policies: KindPath = { group: 'weft.dev', version: 'v1alpha1', plural: 'backendpolicies', namespaced: true }
const ports = { http: 8080, http2: 8080, grpc: 8083, tcp: 8081, udp: 8082 } as const
type Kind = keyof typeof ports
type Answer = { readonly by: string; readonly status?: number }

describe('subsets of a service', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}` }, () => {
  let mesh: Mesh
  let caller: Shell
  const servers = new Map<string, Running>()

  const start = (name: string, version: string): void => {
    const flags = ['--service', 'web', '--app-version', version, '--ready', 'tcp']
    for (const port of ['8080/http', '8083/grpc', '8081/tcp', '8082/udp']) flags.push('--port', port)
    const server = join(import.meta.dirname, 'subsets', 'server.mjs')
    servers.set(name, mesh.run(`web-${name}`, [process.execPath, server], { flags, env: { NAME: version } }))
  }
  const apply = async (path: KindPath, document: object): Promise<Resource> => {
    const { resource } = await mesh.client.apply(path, document as Resource, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
    return resource
  }
  const subset = (version: string): Promise<Resource> =>
    apply(subsets, {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'ServiceSubset',
      metadata: { name: `web-${version}`, namespace: 'default' },
      spec: { service: 'web', labels: { version } },
    })
  const to = (version: string, port: number, weight = 1) => ({
    group: 'weft.dev',
    kind: 'ServiceSubset',
    name: `web-${version}`,
    port,
    weight,
  })
  const route = async (kind: keyof typeof kindsOf, port: number, rules: readonly object[]): Promise<Resource> => {
    const version = kind === 'TCPRoute' || kind === 'UDPRoute' ? 'v1alpha2' : 'v1'
    const document = {
      apiVersion: `gateway.networking.k8s.io/${version}`,
      kind,
      metadata: { name: `web-${kind.toLowerCase()}`, namespace: 'default' },
      spec: { parentRefs: [{ group: '', kind: 'Service', name: 'web', port }], rules },
    }
    const path = { group: 'gateway.networking.k8s.io', version, plural: kindsOf[kind], namespaced: true }
    return apply(path, document)
  }
  const ask = async (kind: Kind, times: number, more: object = {}): Promise<readonly Answer[]> => {
    const script = join(import.meta.dirname, 'health-checks', 'caller.mjs')
    const said = JSON.stringify({ kind, host: 'web', times, port: ports[kind], ...more })
    return JSON.parse(await caller.says(`${process.execPath} ${script} '${said}'`)) as readonly Answer[]
  }
  const tallied = (answers: readonly Answer[]): Readonly<Record<string, number>> => {
    const tally: Record<string, number> = {}
    for (const { by } of answers) tally[by] = (tally[by] ?? 0) + 1
    return tally
  }

  before(async () => {
    mesh = await Mesh.start()
    for (const [name, version] of [
      ['one', 'v1'],
      ['two', 'v1'],
      ['three', 'v2'],
    ] as const)
      start(name, version)
    await mesh.healthy('web', 3)
    caller = mesh.shell('caller')
    await caller.says('true')
    for (const version of ['v1', 'v2', 'v9']) await subset(version)
  })
  after(async () => {
    await caller?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  test('requests are split between subsets by weight, or led by a header, over HTTP/1.1 and HTTP/2', async () => {
    await route('HTTPRoute', 8080, [
      { matches: [{ headers: [{ name: 'x-canary', value: 'yes' }] }], backendRefs: [to('v2', 8080)] },
      { backendRefs: [to('v1', 8080, 3), to('v2', 8080, 1)] },
    ])
    for (const kind of ['http', 'http2'] as const) {
      const { v1 = 0, v2 = 0 } = tallied(await ask(kind, 400))
      assert.equal(v1 + v2, 400)
      // Four standard deviations of 400 draws for one in four; of the endpoints themselves v2 is a third.
      assert.ok(Math.abs(v2 - 100) <= 35, `${kind}: ${v2} of 400 for v2`)
      assert.deepEqual(tallied(await ask(kind, 20, { headers: { 'x-canary': 'yes' } })), { v2: 20 })
    }
  })

  test('calls of gRPC, connections of TCP and sessions of UDP are led to a subset', async () => {
    await route('GRPCRoute', 8083, [
      { matches: [{ headers: [{ name: 'x-canary', value: 'yes' }] }], backendRefs: [to('v2', 8083)] },
      { backendRefs: [to('v1', 8083, 1), to('v2', 8083, 1)] },
    ])
    const { v1 = 0, v2 = 0 } = tallied(await ask('grpc', 200))
    assert.ok(v1 + v2 === 200 && Math.abs(v2 - 100) <= 29, `${v2} of 200 calls for v2`)
    assert.deepEqual(tallied(await ask('grpc', 20, { headers: { 'x-canary': 'yes' } })), { v2: 20 })
    for (const [kind, name] of [
      ['tcp', 'TCPRoute'],
      ['udp', 'UDPRoute'],
    ] as const) {
      await route(name, ports[kind], [{ backendRefs: [to('v2', ports[kind])] }])
      assert.deepEqual(tallied(await ask(kind, 6)), { v2: 6 }, kind)
    }
  })

  test('an empty subset is answered 503 for its share and says that it is not Ready, until a workload with its labels comes', async () => {
    await route('HTTPRoute', 8080, [{ backendRefs: [to('v9', 8080)] }])
    assert.deepEqual(
      (await ask('http', 3)).map(({ by, status }) => [by, status]),
      Array.from({ length: 3 }, () => ['no-endpoint', 503]),
    )
    const ready = async (): Promise<string | undefined> => {
      const { status } = await mesh.client.get(subsets, 'web-v9', { namespace: 'default' })
      return (status as { conditions?: { type: string; status: string; reason: string }[] } | undefined)?.conditions?.find(
        ({ type }) => type === 'Ready',
      )?.reason
    }
    await mesh.until('it is not Ready', async () => (await ready()) === 'NoEndpoints')
    start('nine', 'v9')
    await mesh.healthy('web', 4)
    assert.deepEqual(tallied(await ask('http', 5)), { v9: 5 })
    await mesh.until('it is Ready', async () => (await ready()) === 'Ready')
    await servers.get('nine')!.stop()
    await mesh.healthy('web', 3)
    assert.equal((await ask('http', 1))[0]!.by, 'no-endpoint')
  })

  test('one that does not exist is an invalid reference, answered 500 for its share, and the route says so', async () => {
    const { metadata } = await route('HTTPRoute', 8080, [{ backendRefs: [to('never', 8080)] }])
    assert.deepEqual([(await ask('http', 1))[0]!.by, (await ask('http', 1))[0]!.status], ['backend-invalid', 500])
    const path = { group: 'gateway.networking.k8s.io', version: 'v1', plural: 'httproutes', namespaced: true }
    await mesh.until('the route says it', async () => {
      const { status } = await mesh.client.get(path, metadata.name, { namespace: 'default' })
      return JSON.stringify(status).includes('ServiceSubset default/web-never does not exist')
    })
  })

  test('what a BackendPolicy says of the Service holds for its subsets', async () => {
    const policy = {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'BackendPolicy',
      metadata: { name: 'web', namespace: 'default' },
      spec: { targetRefs: [{ name: 'web' }], balance: 'RoundRobin' },
    }
    await apply(policies, policy)
    await route('HTTPRoute', 8080, [{ backendRefs: [to('v1', 8080)] }])
    const view = JSON.parse(await (await fetch(`${await adminOf()}/config`)).text()) as { backends: Record<string, { balance: string }> }
    assert.equal(view.backends['default/web:8080@web-v1']?.balance, 'round-robin')
  })
  const adminOf = async (): Promise<string> => {
    const workloads: KindPath = { group: 'weft.dev', version: 'v1alpha1', plural: 'workloads', namespaced: true }
    const { items } = await mesh.client.list(workloads, { labelSelector: 'app=caller' })
    return (items[0]!.status as { proxy: { admin: string } }).proxy.admin
  }

  test('the documents of the example are taken', async () => {
    const { code, stderr } = await mesh.weft('apply', '-f', join(root, 'examples/subsets.yaml'))
    assert.equal(code, 0, stderr)
  })
})
