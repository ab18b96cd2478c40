/** What TLS may agree on, by profile: between proxies of both kinds, at a Gateway, towards an ExternalService; judged by openssl and by Node's own, with one group or cipher at a time. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import tls from 'node:tls'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { TlsProfile } from '../../src/model/tls.ts'
import type { SecureConnection } from '../../src/proxy/upstreams/handshakes.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { installed } from '../conformance/peers.ts'
import { certify } from '../harness/certify.ts'
import { startServer } from '../harness/load.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, root, type Shell } from '../harness/mesh.ts'
import { apply, said } from './policies/shop.ts'

const verdict = await canCapture()
const missing = installed('openssl')
const skip = verdict.ok ? ('missing' in missing ? missing.missing : false) : `${verdict.why}: ${verdict.remedy}`
const envoy = presentEnvoy()

/** What `openssl s_client` agreed on, as `VERSION GROUP CIPHER`, or `refused`. A group that this openssl does not know is left to Node. */
async function byOpenssl(port: number, ...flags: readonly string[]): Promise<string> {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'a.example.org', ...flags])
  child.stdin.end()
  child.on('error', () => {})
  const timer = setTimeout(() => child.kill(), 10_000)
  let out = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', bytes => (out += bytes))
  await once(child, 'close')
  clearTimeout(timer)
  const [, version, cipher] = /^New, (TLSv[\d.]+), Cipher is (\S+)$/m.exec(out) ?? []
  const [, group] = /^(?:Server Temp Key: (?:ECDH, )?|Negotiated TLS1\.3 group: )([^,\n]+)/m.exec(out) ?? []
  return version === undefined ? 'refused' : `${version} ${group === 'prime256v1' ? 'P-256' : group} ${cipher}`
}

/** The same of Node, which knows ML-KEM. */
const byNode = (port: number, groups: string, more: tls.ConnectionOptions = {}): Promise<string> =>
  new Promise(resolve => {
    const socket = tls.connect(
      { port, host: '127.0.0.1', servername: 'a.example.org', rejectUnauthorized: false, ecdhCurve: groups, ...more },
      () => {
        const { name = '' } = socket.getEphemeralKeyInfo() as { name?: string }
        resolve(`${socket.getProtocol()} ${name === 'prime256v1' ? 'P-256' : name} ${socket.getCipher().standardName}`)
        socket.destroy()
      },
    )
    socket.on('error', () => {}).on('close', () => resolve('refused'))
  })

/** Asked of a port of the mesh: who shows no certificate gets through the handshake of TLS 1.3, and no further. */
type Case = readonly [by: 'openssl' | 'node', offered: readonly string[], agreed: RegExp]
const hybrid = 'X25519MLKEM768'
const older: Case = ['openssl', ['-tls1_2'], /^refused$/]
const cases: Readonly<Record<Exclude<TlsProfile, 'compatible'>, readonly Case[]>> = {
  modern: [
    ['node', [`${hybrid}:X25519:P-256`], /^TLSv1\.3 X25519MLKEM768 /],
    ['openssl', ['-groups', 'X25519:P-256'], /^TLSv1\.3 X25519 /],
    ['openssl', ['-groups', 'P-256'], /^TLSv1\.3 P-256 /],
    ['openssl', ['-groups', 'P-521'], /^refused$/],
    older,
  ],
  fips: [
    ['node', [`${hybrid}:X25519:P-256`], /^TLSv1\.3 P-256 TLS_AES_/],
    ['openssl', ['-groups', 'X25519'], /^refused$/],
    ['openssl', ['-groups', 'P-384'], /^TLSv1\.3 (P-384|secp384r1|ECDH) TLS_AES_/],
    ['openssl', ['-groups', 'P-256', '-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'], /^refused$/],
    older,
  ],
  pqc: [['node', [hybrid], /^TLSv1\.3 X25519MLKEM768 /], ['openssl', ['-groups', 'X25519:P-256:P-384'], /^refused$/], older],
}
const judge = (port: number, [by, offered]: Case): Promise<string> =>
  by === 'node' ? byNode(port, offered[0]!) : byOpenssl(port, ...offered)

describe('TLS profiles', { skip, timeout: 240_000 }, () => {
  let mesh: Mesh
  let web: Shell
  const admins = new Map<string, string>()

  before(async () => {
    mesh = await Mesh.start()
    startServer(mesh, 'server', { instance: 'server' })
    web = mesh.shell('web')
    await mesh.healthy('server')
    await mesh.healthy('web')
    await mesh.strict()
    for (const { service, admin } of await mesh.client.proxies()) admins.set(service, admin!)
  })
  after(() => mesh[Symbol.asyncDispose]())

  const meshes = { group: 'weft.dev', version: 'v1alpha1', plural: 'meshes', namespaced: false }
  const setProfile = async (profile: TlsProfile): Promise<void> => {
    const { resource } = await mesh.client.apply(
      meshes,
      { apiVersion: 'weft.dev/v1alpha1', kind: 'Mesh', metadata: { name: 'default' }, spec: { mtls: { mode: 'strict', profile } } },
      { force: true },
    )
    const revision = Number(resource.metadata.resourceVersion)
    await mesh.until('every proxy has it', async () => (await mesh.client.convergence(revision)).pending.length === 0)
  }
  const portOf = async (service: string): Promise<number> => {
    const proxy = (await mesh.client.proxies()).find(each => each.service === 'web')!
    const { view } = await mesh.client.proxyConfig(proxy.id)
    return view.endpoints[`default/${service}:8080`]!.endpoints[0]!.port
  }
  const metrics = async (service: string): Promise<string> => (await fetch(`${admins.get(service)}/metrics`)).text()
  const call = (to: string): Promise<string> => web.says(`curl -s -m 5 -o /dev/null -w '%{http_code}' ${to}`)

  for (const profile of ['modern', 'fips', 'pqc'] as const)
    test(`${profile}, between proxies: no group, cipher or version that it does not name, and callers of the mesh go on`, async () => {
      await setProfile(profile)
      const port = await portOf('server')
      for (const each of cases[profile]) assert.match(await judge(port, each), each[2], `${profile}: ${each[1].join(' ')}`)
      assert.equal(await call('http://server:8080/'), '200')
      const group = profile === 'fips' ? 'P-256' : hybrid
      for (const [service, side, peer] of [
        ['server', 'inbound', 'web'],
        ['web', 'outbound', 'server'],
      ] as const) {
        const told = (await (await fetch(`${admins.get(service)}/connections`)).json()) as readonly SecureConnection[]
        const [newest] = told.filter(each => each.side === side)
        assert.deepEqual([newest?.version, newest?.group, newest?.peer], ['TLSv1.3', group, `spiffe://weft.local/ns/default/sa/${peer}`])
        assert.match(
          await metrics(service),
          new RegExp(`weft_tls_handshakes_total\\{side="${side}",version="TLSv1.3",group="${group}",cipher="TLS_AES_\\w+"\\} [1-9]`),
        )
      }
      if (profile !== 'modern')
        assert.match(await metrics('server'), /weft_handshakes_refused_total\{listener="inbound\/8080",reason="tls-group"\} [1-9]/)
      assert.match(await metrics('server'), /reason="tls-version"\} [1-9]/)
      const listed = await mesh.weft('proxy', 'connections', 'web')
      assert.match(listed.stdout, new RegExp(`outbound .*TLSv1\\.3 +${group} +TLS_AES_`), listed.stdout + listed.stderr)
    })

  test('an Envoy keeps the profiles of the mesh as our own proxies do', {
    skip: envoy === undefined ? 'Envoy is not here' : false,
  }, async () => {
    const own = await freePort()
    mesh.spawn([process.execPath, join(root, 'test/harness/load/server.ts')], { env: { NAME: 'old', PORT: String(own) } })
    const weft = [process.execPath, join(root, 'src/bin/weft.ts'), 'envoy', '--control', mesh.url, '--envoy', envoy!]
    const flags = ['--name', 'beside', '--port', `http:${own}/http`, '--', '--concurrency', '1', '--disable-hot-restart', '-l', 'error']
    mesh.spawn([...weft, ...flags])
    await mesh.client.apply(kinds.service, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'beside', namespace: 'default' },
      spec: { selector: { app: 'beside' }, ports: [{ name: 'http', port: 8080, targetPort: 'http', appProtocol: 'http' }] },
    } as Resource)
    await mesh.healthy('beside')
    const port = await portOf('beside')
    for (const profile of ['modern', 'fips', 'pqc'] as const) {
      await setProfile(profile)
      await mesh.until(`Envoy has ${profile}`, async () => cases[profile][1]![2].test(await judge(port, cases[profile][1]!)), 20_000)
      // By Envoy's FIPS policy, which sets versions too, TLS 1.2 is taken with the same ciphers.
      const aged: Case = profile === 'fips' ? ['openssl', ['-tls1_2'], /^TLSv1\.2 P-256 ECDHE-ECDSA-AES128-GCM-SHA256$/] : older
      for (const each of [...cases[profile].slice(0, -1), aged])
        assert.match(await judge(port, each), each[2], `Envoy, ${profile}: ${each[1].join(' ')}`)
      assert.equal(await call('http://beside:8080/'), '200', profile)
    }
    await setProfile('modern')
  })

  /** Key and certificate of its own, for `NAME.example.org`, as files. */
  function certificate(name: string): { readonly key: string; readonly cert: string } {
    const [key, cert] = [join(mesh.folder, `${name}.key`), join(mesh.folder, `${name}.crt`)]
    certify({ key, cert, days: 2, subject: `/CN=${name}`, names: [`DNS:${name}.example.org`, 'DNS:localhost'] })
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  }
  const core = (plural: string) => ({ group: '', version: 'v1', plural, namespaced: true })

  test('a listener of a Gateway agrees on what its profile says; modern where it says nothing, and an unknown one is refused in its status', async () => {
    const port = await freePort()
    const { key, cert } = certificate('a')
    const data = { 'tls.crt': Buffer.from(cert).toString('base64'), 'tls.key': Buffer.from(key).toString('base64') }
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a', namespace: 'default' }, type: 'kubernetes.io/tls', data }
    await mesh.client.apply(core('secrets'), secret as unknown as Resource)
    const path = { ...kinds.httpRoute, plural: 'gateways' }
    const set = async (profile: string | undefined): Promise<void> => {
      const options = profile === undefined ? {} : { options: { 'weft.dev/tls-profile': profile } }
      const listener = { name: 'a', port, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'a' }], ...options } }
      const { resource } = await mesh.client.apply(
        path,
        {
          apiVersion: 'gateway.networking.k8s.io/v1',
          kind: 'Gateway',
          metadata: { name: 'edge', namespace: 'default' },
          spec: { gatewayClassName: 'weft', addresses: [{ value: '127.0.0.1' }], listeners: [listener] },
        } as Resource,
        { force: true },
      )
      const revision = Number(resource.metadata.resourceVersion)
      await mesh.until('every proxy has it', async () => (await mesh.client.convergence(revision)).pending.length === 0)
    }
    await set(undefined)
    mesh.gateway('edge')
    await mesh.until('an open port', async () => (await byOpenssl(port)) !== 'refused')
    const cbc = ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA']
    const gcm = ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256']
    const chacha = ['-tls1_2', '-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305']
    const expected: readonly (readonly [profile: string | undefined, rows: readonly Case[]])[] = [
      [undefined, cases.modern],
      [
        'compatible',
        [
          ['openssl', gcm, /^TLSv1\.2 \S+ ECDHE-ECDSA-AES128-GCM-SHA256$/],
          ['openssl', chacha, /^TLSv1\.2 \S+ ECDHE-ECDSA-CHACHA20-POLY1305$/],
          ['openssl', cbc, /^refused$/],
          ['openssl', ['-tls1_1'], /^refused$/],
          ['node', [`${hybrid}:X25519`], /^TLSv1\.3 X25519MLKEM768 /],
        ],
      ],
      [
        'fips',
        [
          ...cases.fips.slice(0, -1),
          ['openssl', gcm, /^TLSv1\.2 \S+ ECDHE-ECDSA-AES128-GCM-SHA256$/],
          ['openssl', chacha, /^refused$/],
          ['openssl', cbc, /^refused$/],
        ],
      ],
      ['pqc', cases.pqc],
    ]
    for (const [profile, rows] of expected) {
      await set(profile)
      for (const each of rows) assert.match(await judge(port, each), each[2], `${profile}: ${each[1].join(' ')}`)
    }
    await set('newest')
    const { status } = await mesh.client.get(path, 'edge', { namespace: 'default' })
    assert.match(JSON.stringify(status), /"newest\\?" is no profile: modern, compatible, fips, pqc/)
    await mesh.client.delete(path, 'edge', { namespace: 'default' })
  })

  test('towards an ExternalService: TLS 1.2 where nothing is said, not with modern; with pqc a server without X25519MLKEM768 is refused, and the answer says why', async () => {
    await using owned = new AsyncDisposableStack()
    const pair = certificate('out')
    const serve = async (options: tls.SecureContextOptions): Promise<number> => {
      const server = createHttps({ ...pair, ...options }, (_, response) => void response.end('outside'))
      server.on('tlsClientError', () => {})
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      owned.defer(() => server.closeAllConnections())
      owned.defer(() => void server.close())
      return (server.address() as AddressInfo).port
    }
    const ports = {
      old: await serve({ maxVersion: 'TLSv1.2' }),
      classic: await serve({ ecdhCurve: 'X25519:P-256' }),
      newest: await serve({}),
    }
    await mesh.client.apply(core('configmaps'), {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'out', namespace: 'default' },
      data: { 'ca.crt': pair.cert },
    } as unknown as Resource)
    const outcomes: readonly (readonly [profile: string | undefined, Readonly<Record<keyof typeof ports, RegExp>>])[] = [
      [undefined, { old: /^200$/, classic: /^200$/, newest: /^200$/ }],
      ['modern', { old: /^50\d tls-failed/, classic: /^200$/, newest: /^200$/ }],
      ['pqc', { old: /^50\d tls-failed/, classic: /^50\d tls-failed.*pqc/, newest: /^200$/ }],
    ]
    for (const [profile, rows] of outcomes) {
      const settings = {
        mode: 'Originate',
        serverName: 'out.example.org',
        caCertificateRef: { name: 'out' },
        ...(profile === undefined ? {} : { profile }),
      }
      await apply(mesh, 'ExternalService', 'out', {
        hosts: ['out.example.org'],
        ports: Object.entries(ports).map(([name, port], at) => ({
          name,
          port: 8001 + at,
          targetPort: port,
          protocol: 'HTTP',
          tls: settings,
        })),
        endpoints: [{ address: '127.0.0.1' }],
      })
      assert.match((await said(mesh, 'ExternalService', 'out')).join() || 'True', /True/)
      for (const [at, name] of Object.keys(ports).entries()) {
        const told = await web.says(
          `curl -s -m 5 -o /dev/null -w '%{http_code} %header{x-weft-error} %header{x-weft-error-detail}' http://out.example.org:${8001 + at}/`,
        )
        assert.match(told.trim(), rows[name as keyof typeof ports], `${profile} ${name}`)
      }
    }
    assert.match(
      await metrics('web'),
      /weft_tls_handshakes_total\{side="outside",version="TLSv1.2",group="[^"]+",cipher="TLS_ECDHE_ECDSA_WITH_AES_\w+"\} [1-9]/,
    )
  })
})
