/** Certificates of a Gateway's listeners by ACME: a real step-ca proves the host through the Gateway itself, and OpenSSL and curl judge what is served. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, get } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Condition, Resource } from '../../src/resources/kind.ts'
import { goCommand, installed } from '../conformance/peers.ts'
import { active } from '../harness/front.ts'
import { startServer } from '../harness/load.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh } from '../harness/mesh.ts'
import { StepCa } from './acme/step-ca.ts'

const verdict = await canCapture()
const step = goCommand('step-ca', 'github.com/smallstep/certificates/cmd/step-ca@v0.30.2')
const lacking = [installed('openssl'), installed('curl'), step].find(each => 'missing' in each)
const skip = verdict.ok ? (lacking === undefined ? false : (lacking as { missing: string }).missing) : `${verdict.why}: ${verdict.remedy}`

const group = 'gateway.networking.k8s.io'
const paths: Readonly<Record<string, KindPath>> = {
  HTTPRoute: kinds.httpRoute,
  Gateway: { ...kinds.httpRoute, plural: 'gateways' },
  Secret: { ...kinds.service, plural: 'secrets' },
  CertificateIssuer: { group: 'weft.dev', version: 'v1alpha1', plural: 'certificateissuers', namespaced: true },
}
type IssuerStatus = {
  readonly conditions?: readonly Condition[]
  readonly certificates?: readonly { readonly secret: string; readonly notAfter?: string; readonly problem?: string }[]
}

async function apply(mesh: Mesh, document: object): Promise<void> {
  const resource = { metadata: { namespace: 'default' }, ...document } as Resource
  const { resource: written } = await mesh.client.apply(paths[resource.kind]!, resource, { force: true })
  await active(mesh, Number(written.metadata.resourceVersion))
}

const issuerOf = async (mesh: Mesh): Promise<IssuerStatus> =>
  (await mesh.client.get(paths['CertificateIssuer']!, 'private', { namespace: 'default' })).status as IssuerStatus
const told = (status: { readonly conditions?: readonly Condition[] } | undefined, type: string): string => {
  const found = status?.conditions?.find(each => each.type === type)
  return found === undefined ? '' : `${found.status} ${found.reason}: ${found.message}`
}
const says = (command: string, args: readonly string[]): Promise<string> =>
  new Promise(resolve => {
    const child = execFile(command, args, { timeout: 20_000 }, (_, stdout, stderr) => resolve(stdout + stderr))
    child.stdin?.end()
  })

const listeners = (web: number, secure: number, host = 'shop.example.test', secret = 'shop-tls') => [
  { name: 'web', port: web, protocol: 'HTTP' },
  { name: 'secure', port: secure, protocol: 'HTTPS', hostname: host, tls: { certificateRefs: [{ name: secret }] } },
]
const gateway = (shape: readonly object[], annotations: object = { 'weft.dev/certificate-issuer': 'private' }) => ({
  apiVersion: `${group}/v1`,
  kind: 'Gateway',
  metadata: { name: 'edge', namespace: 'default', annotations },
  spec: { gatewayClassName: 'weft', addresses: [{ value: '127.0.0.1' }], listeners: shape },
})
const issuer = (server: string, certificateAuthorities: string) => ({
  apiVersion: 'weft.dev/v1alpha1',
  kind: 'CertificateIssuer',
  metadata: { name: 'private', namespace: 'default' },
  spec: { server, certificateAuthorities, email: 'ops@example.test' },
})

test('a Gateway gets the certificate of its host from step-ca, proved through its own port, and renews it without a lost request', {
  skip,
}, async t => {
  const [web, secure] = [await freePort(), await freePort()]
  await using ca = await StepCa.start((step as { path: string }).path, { httpPort: web, life: '18s' })
  await using mesh = await Mesh.start()
  const rootFile = join(ca.folder, 'root.pem')
  startServer(mesh, 'shop', { instance: 'one' })
  await mesh.healthy('shop')
  const proxy = mesh.gateway('edge')
  await apply(mesh, issuer(ca.directory, readFileSync(rootFile, 'utf8')))
  await apply(mesh, {
    apiVersion: `${group}/v1`,
    kind: 'HTTPRoute',
    metadata: { name: 'shop', namespace: 'default' },
    spec: { parentRefs: [{ name: 'edge', sectionName: 'secure' }], rules: [{ backendRefs: [{ name: 'shop', port: 8080 }] }] },
  })
  // As it is usual; the challenge has to be answered all the same.
  const toTls = { type: 'RequestRedirect', requestRedirect: { scheme: 'https', statusCode: 301 } }
  await apply(mesh, {
    apiVersion: `${group}/v1`,
    kind: 'HTTPRoute',
    metadata: { name: 'to-tls', namespace: 'default' },
    spec: { parentRefs: [{ name: 'edge', sectionName: 'web' }], rules: [{ filters: [toTls] }] },
  })
  await apply(mesh, gateway(listeners(web, secure)))
  await mesh.until('a certificate', async () => told(await issuerOf(mesh), 'Issued').startsWith('True'))
  assert.equal(proxy.child.exitCode, null)

  await t.test('OpenSSL finds the host in it, and it leads to the root of step-ca', async () => {
    const onPort = ['-connect', `127.0.0.1:${secure}`, '-servername', 'shop.example.test']
    const shown = () =>
      says('openssl', ['s_client', ...onPort, '-verify_hostname', 'shop.example.test', '-CAfile', rootFile, '-verify_return_error'])
    await mesh.until('a chain that verifies', async () => /Verify return code: 0 \(ok\)/.test(await shown()))
    assert.match(await shown(), /Verification: OK\nVerified peername: shop\.example\.test/)
  })

  await t.test('curl reaches the workload by it, and the challenge is gone', async () => {
    const host = `shop.example.test:${secure}:127.0.0.1`
    assert.match(
      await says('curl', ['-sS', '-D', '-', '--cacert', rootFile, '--resolve', host, `https://shop.example.test:${secure}/`]),
      /one/,
    )
    const plain = await says('curl', ['-sS', '-D', '-', '-H', 'Host: shop.example.test', `http://127.0.0.1:${web}/`])
    assert.match(plain, /^HTTP\/1\.1 301 /)
    const [id = ''] = (await mesh.client.proxies()).filter(each => each.service === 'edge-weft').map(each => each.id)
    const config = async () => (await mesh.weft('proxy', 'config', id, '-o', 'json')).stdout
    assert.match(await config(), /HTTPRoute\/default\/to-tls/)
    await mesh.until('no challenge', async () => !(await config()).includes('acme-challenge'))
  })

  await t.test('at two thirds of its life the next one is there, and no request is lost meanwhile', async () => {
    const serials = new Set<string>()
    let lost = 0
    let asked = 0
    const agent = new Agent({ keepAlive: false, maxCachedSessions: 0, ca: ca.root, servername: 'shop.example.test' })
    const ask = (): Promise<void> =>
      new Promise(resolve => {
        asked++
        const request = get({ host: '127.0.0.1', port: secure, agent, headers: { host: 'shop.example.test' } }, reply => {
          const raw = (reply.socket as unknown as { getPeerCertificate(): { raw: Buffer } }).getPeerCertificate().raw
          serials.add(new X509Certificate(raw).serialNumber)
          if (reply.statusCode !== 200) lost++
          reply.resume().once('end', resolve)
        })
        request.once('error', thrown => {
          lost++
          console.error(thrown)
          resolve()
        })
      })
    const end = Date.now() + 60_000
    while (serials.size < 2 && Date.now() < end) {
      await ask()
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    assert.equal(lost, 0, `of ${asked}`)
    assert.ok(serials.size >= 2, 'the same certificate for a minute')
  })

  await t.test('a wildcard is refused in the statuses of the issuer and the listener', async () => {
    await apply(mesh, gateway([...listeners(web, secure), { ...listeners(web, secure, '*.example.test', 'wild-tls')[1]!, name: 'wild' }]))
    const wild = async () => (await issuerOf(mesh)).certificates?.find(each => each.secret === 'wild-tls')
    await mesh.until('a reason', async () => (await wild())?.problem !== undefined)
    assert.match((await wild())!.problem!, /a wildcard needs the challenge dns-01/)
    const { status } = await mesh.client.get(paths['Gateway']!, 'edge', { namespace: 'default' })
    const wildly = (status as { listeners: readonly { name: string; conditions: readonly Condition[] }[] }).listeners.find(
      each => each.name === 'wild',
    )
    assert.match(told(wildly, 'ResolvedRefs'), /^False InvalidCertificateRef: .*wild-tls does not exist, and .*dns-01/)
  })

  await t.test('a Secret that an operator wrote is left alone', async () => {
    const own = await mesh.client.get(paths['Secret']!, 'shop-tls', { namespace: 'default' })
    assert.equal(own.metadata.annotations?.['weft.dev/certificate-issuer'], 'private')
    await apply(mesh, { ...own, metadata: { name: 'own-tls', namespace: 'default' } })
    await apply(mesh, gateway(listeners(web, secure, 'own.example.test', 'own-tls')))
    await mesh.until('nothing to do', async () => (await issuerOf(mesh)).certificates?.length === 0)
  })
})

test('a challenge that step-ca cannot fetch is told in status with its problem document and what to do', { skip }, async () => {
  const [web, secure, nobody] = [await freePort(), await freePort(), await freePort()]
  await using ca = await StepCa.start((step as { path: string }).path, { httpPort: nobody, life: '1h' })
  await using mesh = await Mesh.start()
  mesh.gateway('edge')
  await apply(mesh, issuer(ca.directory, ca.root))
  await apply(mesh, gateway(listeners(web, secure)))
  await mesh.until('a reason', async () => /connection/.test(told(await issuerOf(mesh), 'Issued')), 90_000)
  const said = told(await issuerOf(mesh), 'Issued')
  assert.match(said, /^False OrderFailed: Secret shop-tls: .*connection.* must reach an HTTP listener of the Gateway on port 80/)
  const doctor = await mesh.weft('cert', 'doctor')
  assert.equal(doctor.code, 1, doctor.stdout)
  assert.match(doctor.stdout, /\ngateway\s+default\/shop-tls\s+-\s+-\s+is not there\n/)
  assert.match(
    doctor.stdout,
    /\n! gateway default\/shop-tls is not there: .*connection.*: see weft describe certificateissuer private -n default\n/,
  )
})
