/** Envoy keeps an AuthenticationPolicy as our own proxies do, on the side of the caller and of the called, over HTTP/1.1, HTTP/2, gRPC and TCP. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Resource } from '../../src/resources/kind.ts'
import { lacksEnvoy } from '../harness/envoy-sidecar.ts'
import { outsideAddress } from '../harness/machine.ts'
import { kinds, type Mesh } from '../harness/mesh.ts'
import { type Plane, planes, run, TwoPlanes, versions } from '../harness/two-planes.ts'
import { apply } from './policies/shop.ts'

describe('mutual TLS by policy, two data planes', { skip: lacksEnvoy, timeout: 240_000 }, () => {
  let two: TwoPlanes
  let mesh: Mesh

  before(async () => {
    two = await TwoPlanes.start()
    mesh = two.mesh
  })
  after(() => two?.[Symbol.asyncDispose]())

  async function endpointOf(plane: Plane, port: number): Promise<{ readonly host: string; readonly port: number; readonly mtls: boolean }> {
    const { view } = await mesh.client.proxyConfig((await mesh.client.proxies()).find(({ service }) => service === 'web-weft')!.id)
    return view.endpoints[`default/called-${plane}:${port}`]!.endpoints[0]!
  }

  const modeOf = async (plane: Plane): Promise<readonly string[]> => {
    const { view } = await mesh.client.proxyConfig((await mesh.client.proxies()).find(({ service }) => service === `called-${plane}`)!.id)
    return Object.values(view.listeners)
      .filter(({ direction }) => direction === 'inbound')
      .map(({ tls }) => tls?.mode ?? 'disabled')
  }

  for (const mode of ['Strict', 'Permissive', 'Disabled'] as const)
    test(`${mode}: callers of the mesh arrive ${mode === 'Disabled' ? 'without' : 'with'} their identity, callers outside ${mode === 'Strict' ? 'do not' : 'do too'}`, async () => {
      await apply(mesh, 'AuthenticationPolicy', 'all', { targetRefs: [{ kind: 'Namespace' }], mtls: { mode } })
      const wanted = mode.toLowerCase()
      for (const plane of planes)
        await mesh.until(`${plane} is ${wanted}`, async () => {
          const [modes, { mtls }] = [await modeOf(plane), await endpointOf(plane, 8080)]
          return modes.every(each => each === wanted) && mtls === (mode !== 'Disabled')
        })
      await mesh.until('all proxies have it', async () => (await mesh.client.proxies()).every(({ state }) => state === 'synced'))
      for (const to of planes) {
        for (const from of planes)
          for (const version of versions) {
            const { status, by, asked, grpc = 0 } = await two.ask(from, `called-${to}`, version)
            const way = `from ${from} to ${to} by ${version}`
            assert.deepEqual([status, grpc, by], [200, 0, to], way)
            if (version === 'tcp') continue
            // Connections that are open stay what they are, and Envoy sends on by them.
            if (mode === 'Disabled' && from === 'envoy') continue
            const proven = asked?.['x-forwarded-client-cert'] ?? ''
            assert.equal(proven.includes(`URI=spiffe://weft.local/ns/default/sa/web-${from}`), mode !== 'Disabled', `${way}: ${proven}`)
          }
        const { host, port } = await endpointOf(to, 8080)
        const said = await run(['curl', '-s', '-m', '5', '-w', ' code=%{http_code}', `http://${host}:${port}/open`])
        assert.match(said, mode === 'Strict' ? (to === 'weft' ? /code=403$/ : /code=000$/) : /code=200$/, `plaintext to ${to}`)
      }
    })

  test('an Envoy connects in plaintext where it is told to, as the called side counts', async () => {
    const counted = async (): Promise<readonly [mutual: number, plaintext: number]> => {
      const report = await mesh.client.mtls({ service: 'called-weft', port: 'tcp' })
      const { mutual, callers } = report.ports[0]!
      return [mutual, callers.reduce((sum, { connections }) => sum + connections, 0)]
    }
    const [mutual, before] = await counted()
    for (let nth = 0; nth < 5; nth++) assert.equal((await two.ask('envoy', 'called-weft', 'tcp')).status, 200)
    await mesh.until('five more in plaintext are told', async () => (await counted())[1] >= before + 5)
    assert.equal((await counted())[0], mutual)
  })

  test('of endpoints by hand those of the mesh are called by mutual TLS and others in plaintext, where that is let through', async t => {
    const outside = outsideAddress()
    if (outside === undefined) return t.skip('this machine has no address beside loopback')
    const server = createServer((_, response) => response.end(JSON.stringify({ name: 'outside', headers: {} })))
    await once(server.listen(0, outside), 'listening')
    try {
      const { items } = await mesh.client.list(kinds.workload, {})
      const inMesh = planes.map(plane => {
        const { spec, status } = items.find(({ metadata }) => metadata.labels?.['app'] === `called-${plane}`)!
        const port = (spec as { ports: readonly { name: string; port: number }[] }).ports.find(({ name }) => name === 'http')!.port
        return { address: (status as { meshAddress: string }).meshAddress, port }
      })
      const slices = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices', namespaced: true }
      const manual = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'manual', namespace: 'default' } }
      await mesh.client.apply(kinds.service, {
        ...manual,
        spec: { ports: [{ name: 'http', port: 8080, appProtocol: 'http' }] },
      } as Resource)
      const places = [...inMesh, { address: outside, port: (server.address() as AddressInfo).port }]
      for (const [at, { address, port }] of places.entries())
        await mesh.client.apply(slices, {
          apiVersion: 'discovery.k8s.io/v1',
          kind: 'EndpointSlice',
          metadata: { name: `manual-${at}`, namespace: 'default', labels: { 'kubernetes.io/service-name': 'manual' } },
          addressType: 'IPv4',
          ports: [{ name: 'http', port }],
          endpoints: [{ addresses: [address] }],
        } as Resource)
      const seen = async (from: Plane): Promise<ReadonlyMap<string, boolean>> => {
        const found = new Map<string, boolean>()
        for (let nth = 0; nth < 12; nth++) {
          const { by, asked } = await two.ask(from, 'manual', 'http1')
          found.set(by ?? '', (asked?.['x-forwarded-client-cert'] ?? '').includes(`/sa/web-${from}`))
        }
        return found
      }
      for (const mode of ['Permissive', 'Strict'] as const) {
        await apply(mesh, 'AuthenticationPolicy', 'all', { targetRefs: [{ kind: 'Namespace' }], mtls: { mode } })
        await mesh.until('all proxies have it', async () => (await mesh.client.proxies()).every(({ state }) => state === 'synced'))
        const wanted = [['envoy', true], ...(mode === 'Strict' ? [] : [['outside', false]]), ['weft', true]]
        for (const from of planes)
          await mesh.until(`${mode} from ${from}`, async () => JSON.stringify([...(await seen(from))].sort()) === JSON.stringify(wanted))
      }
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  test('what an Envoy does not tell is no reason to go strict', async () => {
    await apply(mesh, 'AuthenticationPolicy', 'all', { targetRefs: [{ kind: 'Namespace' }], mtls: { mode: 'Permissive' } })
    const { code, stdout } = await mesh.weft('mtls', 'report', '--service', 'called-envoy')
    assert.equal(code, 1)
    assert.match(stdout, /its proxy tells nothing of its callers/)
  })
})
