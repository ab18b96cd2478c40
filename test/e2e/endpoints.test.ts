/** Endpoints other than by labels, in a real mesh: workloads called at their own addresses and names, headless Services, and EndpointSlices that name workloads and others. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Condition, Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { outsideAddress, served } from '../harness/machine.ts'
import { kinds, Mesh, type Shell } from '../harness/mesh.ts'

const verdict = await canCapture()
const outside = outsideAddress()
const slices: KindPath = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices', namespaced: true }
const ofWeft = (plural: string): KindPath => ({ group: 'weft.dev', version: 'v1alpha1', plural, namespaced: true })
const everyKind = ['http', 'http2', 'grpc', 'tcp', 'udp'] as const
type Kind = (typeof everyKind)[number]

describe('endpoints by hand and workloads themselves', { skip: verdict.ok ? false : verdict.why, timeout: 180_000 }, () => {
  let mesh: Mesh
  let caller: Shell
  let stranger: Shell
  const named = new Map<string, { readonly name: string; readonly address: string }>()

  const apply = async (path: KindPath, document: object): Promise<Resource> => {
    const { resource } = await mesh.client.apply(path, document as Resource, { force: true })
    await active(mesh, Number(resource.metadata.resourceVersion))
    return resource
  }
  const ask = async (kind: Kind, host: string, more: object = {}, from = caller): Promise<readonly string[]> => {
    const script = join(import.meta.dirname, 'health-checks', 'caller.mjs')
    const answers = JSON.parse(await from.says(`${process.execPath} ${script} '${JSON.stringify({ kind, host, ...more })}'`))
    return (answers as readonly { by: string }[]).map(({ by }) => by)
  }
  const service = (name: string, spec: object): Promise<Resource> =>
    apply(kinds.service, { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec })
  const slice = (service: string, addresses: readonly string[], port = 8080): Promise<Resource> =>
    apply(slices, {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: service, namespace: 'default', labels: { 'kubernetes.io/service-name': service } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port }],
      endpoints: addresses.map(address => ({ addresses: [address] })),
    })
  const resolved = async (name: string): Promise<Condition> => {
    const { status } = await mesh.client.get(slices, name, { namespace: 'default' })
    return (status as { conditions: readonly Condition[] }).conditions.find(({ type }) => type === 'ResolvedRefs')!
  }

  before(async () => {
    mesh = await Mesh.start()
    for (const version of ['one', 'two']) {
      const flags = ['--service', 'web', '--app-version', version, '--ready', 'tcp']
      for (const port of ['8080/http', '8083/grpc', '8081/tcp', '8082/udp']) flags.push('--port', port)
      const server = join(import.meta.dirname, 'subsets', 'server.mjs')
      mesh.run(`web-${version}`, [process.execPath, server], { flags, env: { NAME: version } })
    }
    await mesh.healthy('web', 2)
    caller = mesh.shell('caller')
    stranger = mesh.shell('stranger')
    await Promise.all([caller.says('true'), stranger.says('true')])
    const { items } = await mesh.client.list(kinds.workload, { labelSelector: 'app=web' })
    for (const { metadata, status } of items)
      named.set(metadata.labels!['version']!, { name: metadata.name, address: (status as { meshAddress: string }).meshAddress })
    await service('peers', { clusterIP: 'None', selector: { app: 'web' }, ports: [{ name: 'http', port: 8080 }] })
  })
  after(async () => {
    await stranger?.[Symbol.asyncDispose]()
    await caller?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  test('a workload behind a headless Service is called by its own name, whatever it speaks', async () => {
    for (const kind of everyKind)
      for (const [version, { name }] of named) assert.deepEqual(await ask(kind, `${name}.peers`, { times: 2 }), [version, version], kind)
    const [[version, { name, address }]] = [...named] as [[string, { name: string; address: string }]]
    for (const host of [address, `${name}.peers.default.svc.cluster.local`, `${name}.default.workload`, `${name}.default.workload.mesh`])
      assert.deepEqual(await ask('http', host), [version], host)
  })

  test('the name of a headless Service is answered with the addresses of all its workloads', async () => {
    const lines = (await caller.says('getent ahostsv4 peers.default')).trim().split('\n')
    const addresses = new Set(lines.map(line => line.split(/\s/)[0]))
    assert.deepEqual([...addresses].sort(), [...named.values()].map(({ address }) => address).sort())
  })

  test('who may call a workload holds for its own address too, where its caller is known by mutual TLS', async () => {
    const policies = ofWeft('accesspolicies')
    await apply(policies, {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'AccessPolicy',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        targetRefs: [{ kind: 'Workload', labels: { app: 'web' } }],
        action: 'Allow',
        rules: [{ from: [{ serviceAccounts: ['caller'] }] }],
      },
    })
    try {
      const { name } = named.get('one')!
      for (const kind of ['http', 'grpc', 'tcp'] as const) assert.deepEqual(await ask(kind, `${name}.peers`), ['one'], kind)
      assert.deepEqual(await ask('http', `${name}.peers`, {}, stranger), ['access-denied'])
      assert.deepEqual(await ask('tcp', `${name}.peers`, {}, stranger), ['closed'])
    } finally {
      await mesh.client.delete(policies, 'web', { namespace: 'default' })
    }
  })

  test('where nothing is captured they are called through the proxy of the workload', async () => {
    const [version, { name, address }] = [...named][0]!
    const hosts = [`${name}.peers`, `${name}.default.workload`, address].map(host => `curl -sS -m 20 http://${host}:8080/; echo`)
    const { code, stdout, stderr } = await mesh.job('plain', ['/bin/sh', '-c', hosts.join('; ')], { flags: ['--capture', 'proxy'] })
    assert.deepEqual([code, stdout, stderr], [0, `${version}\n${version}\n${version}\n`, ''])
    const { stdout: any } = await mesh.job('chooses', ['/bin/sh', '-c', 'curl -sS -m 20 http://peers:8080/'], {
      flags: ['--capture', 'proxy'],
    })
    assert.ok(named.has(any), any)
  })

  test('where no address has a workload nobody answers, and nothing leaves the mesh', async () => {
    const [first] = [...named.values()]
    const free = first!.address.replace(/\d+$/, last => `${(Number(last) + 100) % 256}`)
    assert.notEqual((await caller.do(`curl -s -m 5 http://${free}:8080/`)).code, 0)
    assert.notEqual((await caller.do(`curl -s -m 5 http://${first!.address}:8099/`)).code, 0)
  })

  test('an EndpointSlice names the workloads behind a Service, and changes with it', async () => {
    await service('manual', { ports: [{ name: 'http', port: 80 }] })
    const [one, two] = [named.get('one')!.address, named.get('two')!.address]
    await slice('manual', [one])
    assert.deepEqual(await ask('http', 'manual', { port: 80, times: 5 }), ['one', 'one', 'one', 'one', 'one'])
    await slice('manual', [two, '240.80.255.254'])
    assert.deepEqual(new Set(await ask('http2', 'manual', { port: 80, times: 5 })), new Set(['two']))
    const { status, reason, message } = await resolved('manual')
    assert.deepEqual([status, reason], ['False', 'AddressNotFound'])
    assert.match(message, /endpoints\[1\]\.addresses\[0\]: 240\.80\.255\.254/)
    await slice('manual', [one, two])
    assert.deepEqual(new Set(await ask('http', 'manual', { port: 80, times: 30 })), new Set(['one', 'two']))
  })

  const noOutside = outside === undefined ? 'this machine has no address beside loopback' : false
  test('an address outside the mesh is called where a policy lets plaintext through, and not before', { skip: noOutside }, async () => {
    await using server = await served(outside!)
    await service('printer', { ports: [{ name: 'http', port: 80, appProtocol: 'http' }] })
    await slice('printer', [outside!], server.port)
    const modes = ofWeft('authenticationpolicies')
    const policy = (mode: string): object => ({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'AuthenticationPolicy',
      metadata: { name: 'printer', namespace: 'default' },
      spec: { targetRefs: [{ kind: 'Service', name: 'printer' }], mtls: { mode } },
    })
    await apply(modes, policy('Strict'))
    assert.deepEqual(await ask('http', 'printer', { port: 80 }), ['no-endpoint'])
    assert.equal((await resolved('printer')).reason, 'PlaintextRefused')
    const told = await mesh.weft('explain', 'request', '--from', 'caller', '--to', 'printer')
    assert.equal(told.code, 1)
    assert.match(told.stdout, /EndpointSlice default\/printer: PlaintextRefused: .*see: weft describe endpointslice printer -n default$/m)
    await apply(modes, policy('Permissive'))
    assert.deepEqual(await ask('http', 'printer', { port: 80 }), ['outside'])
    assert.equal((await resolved('printer')).status, 'True')
    const egress = ofWeft('egresspolicies')
    await apply(egress, {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'EgressPolicy',
      metadata: { name: 'closed', namespace: 'default' },
      spec: { targetRefs: [{ kind: 'Namespace' }], rules: [{ action: 'Deny', to: [{ ipBlocks: [`${outside}/32`] }] }] },
    })
    assert.deepEqual(await ask('http', 'printer', { port: 80 }), ['egress-denied'])
    await mesh.client.delete(egress, 'closed', { namespace: 'default' })
    await apply(modes, policy('Strict'))
    assert.deepEqual(await ask('http', 'printer', { port: 80 }), ['no-endpoint'])
  })

  test('a slice of loopback addresses is refused when it is applied', async () => {
    await assert.rejects(slice('manual', ['127.0.0.1']), /endpoints\[0\]\.addresses\[0\].*loopback/)
  })
})
