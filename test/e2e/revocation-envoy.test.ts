/** Envoy beside a workload believes a revoked one no more, as caller and as called: by RBAC, by revocation lists, and by endpoints that are gone; and it tells trust domains apart. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createRoot } from '../../src/identity/issue.ts'
import { newKey } from '../../src/identity/key.ts'
import { lacksEnvoy } from '../harness/envoy-sidecar.ts'
import type { Mesh } from '../harness/mesh.ts'
import { type Plane, TwoPlanes, type Version, versions } from '../harness/two-planes.ts'

const revocations = { group: 'weft.dev', version: 'v1alpha1', plural: 'revocations', namespaced: false }
const trustDomains = { group: 'weft.dev', version: 'v1alpha1', plural: 'trustdomains', namespaced: false }

describe('revocation, two data planes', { skip: lacksEnvoy, timeout: 240_000 }, () => {
  let two: TwoPlanes
  let mesh: Mesh

  before(async () => {
    two = await TwoPlanes.start()
    mesh = two.mesh
  })
  after(() => two?.[Symbol.asyncDispose]())

  /** Status, or 0 where there was no good answer. */
  async function ask(from: Plane, to: Plane, version: Version): Promise<number> {
    const { status, grpc = 0 } = await two.ask(from, `called-${to}`, version).catch(() => ({ status: 0, grpc: 0 }))
    return grpc === 0 ? status : 0
  }
  const isServed = async (from: Plane, to: Plane): Promise<boolean> => {
    for (const version of versions) if ((await ask(from, to, version)) !== 200) return false
    return true
  }
  const isRefused = async (from: Plane, to: Plane): Promise<boolean> => {
    for (const version of versions) if ((await ask(from, to, version)) === 200) return false
    return true
  }
  const serialOf = async (service: string): Promise<string> => {
    const { proxies } = await mesh.client.status()
    return proxies.find(each => each.service === service)!.certificate!.serial
  }
  const revoke = (name: string, spec: object): Promise<unknown> =>
    mesh.client.apply(
      revocations,
      { apiVersion: 'weft.dev/v1alpha1', kind: 'Revocation', metadata: { name }, spec: { reason: 'KeyCompromise', ...spec } },
      { force: true },
    )
  /** And everybody serves everybody again. */
  async function takeBack(name: string): Promise<void> {
    await mesh.client.delete(revocations, name)
    for (const [from, to] of [
      ['weft', 'envoy'],
      ['envoy', 'weft'],
    ] as const)
      await mesh.until(`calls from ${from} to ${to}`, () => isServed(from, to))
  }

  test('a revoked caller gets nothing from an Envoy, over HTTP/1, HTTP/2, gRPC and TCP', async () => {
    await mesh.until('all are served', async () => (await isServed('weft', 'envoy')) && (await isServed('envoy', 'weft')))
    await revoke('caller', { identities: ['spiffe://weft.local/ns/default/sa/web-weft'] })
    await mesh.until('Envoy refuses it', () => isRefused('weft', 'envoy'))
    assert.equal(await isServed('envoy', 'weft'), true)
    await takeBack('caller')
  })

  test('an Envoy calls a revoked service no more', async () => {
    await revoke('called', { identities: ['spiffe://weft.local/ns/default/sa/called-weft'] })
    await mesh.until('Envoy does not call it', () => isRefused('envoy', 'weft'))
    await takeBack('called')
  })

  test('an Envoy reads the revocation list: a certificate on it is refused, of callers and of those that are called', async () => {
    // Envoy reads it at handshakes only: connections of HTTP that are open already stay.
    await revoke('certificate', { serials: [await serialOf('web-weft')] })
    await mesh.until('Envoy refuses the caller', async () => (await ask('weft', 'envoy', 'tcp')) === 0)
    assert.equal(await ask('envoy', 'envoy', 'tcp'), 200, 'others are taken as before')
    await takeBack('certificate')
    await revoke('certificate', { serials: [await serialOf('called-weft')] })
    await mesh.until('Envoy does not call it', async () => (await ask('envoy', 'weft', 'tcp')) === 0)
    assert.equal(await ask('envoy', 'envoy', 'tcp'), 200, 'others are called as before')
    await takeBack('certificate')
  })

  test('an Envoy takes several trust domains, each with its roots; and revocation lists with them', async () => {
    const other = createRoot('other.test', await newKey(), Date.now())
    await mesh.client.apply(trustDomains, {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'TrustDomain',
      metadata: { name: 'other' },
      spec: { trustDomain: 'other.test', bundle: other.root },
    })
    const { resourceVersion } = await mesh.client.list(trustDomains)
    await mesh.until('every proxy has it', async () => {
      const { pending, rejected } = await mesh.client.convergence(Number(resourceVersion))
      assert.deepEqual(rejected, [])
      return pending.length === 0
    })
    const proxy = (await mesh.client.proxies()).find(({ service }) => service === 'called-envoy')!
    const dump = await (await fetch(`${proxy.admin}/config_dump`)).text()
    assert.match(dump, /"name": "other\.test"/)
    await mesh.until('all are served', async () => (await isServed('weft', 'envoy')) && (await isServed('envoy', 'weft')))
    await revoke('certificate', { serials: [await serialOf('web-weft')] })
    await mesh.until('Envoy refuses the caller', async () => (await ask('weft', 'envoy', 'tcp')) === 0)
    assert.equal(await ask('envoy', 'envoy', 'tcp'), 200, 'others are taken as before')
    await mesh.client.delete(trustDomains, 'other')
    await takeBack('certificate')
  })
})
