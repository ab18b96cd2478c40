/** Real authorities of others sign the certificates of the mesh: step-ca and HashiCorp Vault, seen by requests between two workloads. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { CompactEncrypt, exportJWK, generateKeyPair } from 'jose'
import { askHttp } from '../../src/io/ask-http.ts'
import { createIntermediate, createRoot } from '../../src/identity/issue.ts'
import { newKey } from '../../src/identity/key.ts'
import { canCapture } from '../../src/io/namespace.ts'
import { goCommand, installed, vaultServer } from '../conformance/peers.ts'
import { freePort } from '../harness/machine.ts'
import { startServer } from '../harness/load.ts'
import { Mesh } from '../harness/mesh.ts'

const verdict = await canCapture()
const cannot = verdict.ok ? undefined : `${verdict.why}: ${verdict.remedy}`

/** A server of others, ended at the end, with its folder. */
class Peer implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'weft-authority-'))
  #child: ChildProcess | undefined
  #said = ''

  start(command: string, ...args: readonly string[]): void {
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: this.folder } })
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.on('data', chunk => (this.#said += chunk))
  }

  write(name: string, content: string): string {
    writeFileSync(join(this.folder, name), content, { mode: 0o600 })
    return join(this.folder, name)
  }

  /** Until it answers that it is well. */
  async answers(url: string, ca?: string): Promise<void> {
    const end = Date.now() + 30_000
    for (;;) {
      const status = await askHttp({ url, ca, timeoutMs: 1000 }).then(
        reply => reply.status,
        () => 0,
      )
      if (status === 200) return
      if (Date.now() > end || this.#child?.exitCode !== null) throw new Error(`it does not answer:\n${this.#said.slice(-2000)}`)
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }

  async stop(): Promise<void> {
    if (this.#child === undefined || this.#child.exitCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill()
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Two workloads of a mesh with that authority reach each other, and certificates go on being renewed. */
async function serves(settings: string, env: Record<string, string>, type: string): Promise<Mesh> {
  const mesh = await Mesh.start({ control: ['--leaf-life', '6s', '--authority', settings], env })
  try {
    startServer(mesh, 'server', { instance: 'one' })
    await mesh.healthy('server')
    await using shell = mesh.shell('caller')
    assert.match(await shell.says('curl -sS -D - http://server:8080/'), /one/)
    assert.equal((await mesh.client.status()).authority.type, type)
    const serial = async () => (await mesh.client.proxies()).find(({ service }) => service === 'server')?.certificate?.serial
    await mesh.until('a certificate', async () => (await serial()) !== undefined)
    const first = await serial()
    await mesh.until('another certificate', async () => (await serial()) !== first, 30_000)
    assert.match(await shell.says('curl -sS -D - http://server:8080/'), /one/)
    const doctor = await mesh.weft('cert', 'doctor')
    assert.match(doctor.stdout, new RegExp(`root .*`))
    const plan = await mesh.weft('cert', 'rotate-root')
    assert.equal(plan.code, 1)
    assert.match(plan.stderr, new RegExp(`the authority of this mesh is of type ${type}: its root is replaced there`))
    return mesh
  } catch (thrown) {
    await mesh[Symbol.asyncDispose]()
    throw thrown
  }
}

const step = goCommand('step-ca', 'github.com/smallstep/certificates/cmd/step-ca@v0.30.2')

test('step-ca signs the certificates of the mesh, asked by one-time tokens', {
  skip: cannot ?? ('missing' in step ? step.missing : false),
}, async () => {
  await using peer = new Peer()
  const root = createRoot('weft.local', await newKey(), Date.now())
  const sub = createIntermediate(root, await newKey(), Date.now())
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const kid = 'weft-test'
  const encryptedKey = await new CompactEncrypt(
    new TextEncoder().encode(JSON.stringify({ ...(await exportJWK(privateKey)), kid, alg: 'ES256', use: 'sig' })),
  )
    .setProtectedHeader({ alg: 'PBES2-HS256+A128KW', enc: 'A256GCM', cty: 'jwk+json', p2c: 100_000 } as never)
    .encrypt(new TextEncoder().encode('a password'))
  const port = await freePort()
  const config = {
    root: peer.write('root.pem', root.root),
    crt: peer.write('sub.pem', sub.chain[0]!),
    key: peer.write('sub.key', sub.key.pem),
    address: `127.0.0.1:${port}`,
    dnsNames: ['127.0.0.1', 'localhost'],
    logger: { format: 'text' },
    db: { type: 'badgerv2', dataSource: join(peer.folder, 'db') },
    crl: { enabled: true, generateOnRevoke: true, cacheDuration: '24h' },
    authority: {
      provisioners: [
        {
          type: 'JWK',
          name: 'mesh',
          key: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' },
          encryptedKey,
          claims: { minTLSCertDuration: '1s', maxTLSCertDuration: '24h' },
        },
      ],
    },
  }
  peer.start((step as { path: string }).path, peer.write('ca.json', JSON.stringify(config)))
  await peer.answers(`https://127.0.0.1:${port}/health`, root.root)
  const settings = peer.write(
    'authority.yaml',
    [
      'type: StepCA',
      `address: https://127.0.0.1:${port}`,
      'provisioner: mesh',
      `passwordFile: ${peer.write('password', 'a password\n')}`,
      `caFile: ${join(peer.folder, 'root.pem')}`,
      `crl: https://127.0.0.1:${port}/1.0/crl`,
    ].join('\n'),
  )
  await using mesh = await serves(settings, {}, 'StepCA')
  await mesh.until('its revocation list', async () => {
    const { trust } = await mesh.client.status()
    return trust!.lists.some(({ issuer, entries }) => issuer.includes('Weft intermediate') && entries === 0)
  })
  // Gone: what there is serves on, and the reason is told.
  await peer.stop()
  await mesh.until('a reason', () =>
    /the authority https:\/\/127\.0\.0\.1:\d+ \(provisioner mesh\) gave no certificate/.test(mesh.control.stderr),
  )
})

const vault = vaultServer()

test('Vault signs the certificates of the mesh, by a role of its PKI engine, after a login by AppRole', {
  skip: cannot ?? ('missing' in vault ? vault.missing : false),
}, async () => {
  await using peer = new Peer()
  const port = await freePort()
  const address = `http://127.0.0.1:${port}`
  peer.start(
    (vault as { path: string }).path,
    'server',
    '-dev',
    '-dev-root-token-id=root',
    `-dev-listen-address=127.0.0.1:${port}`,
    '-dev-no-store-token',
  )
  await peer.answers(`${address}/v1/sys/health`)
  const ask = async (path: string, body?: object): Promise<{ data?: Record<string, string> }> => {
    const reply = await askHttp({
      url: `${address}/v1/${path}`,
      method: body === undefined ? 'GET' : 'POST',
      headers: { 'x-vault-token': 'root', 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      timeoutMs: 10_000,
    })
    assert.ok(reply.status < 300, `${path}: ${reply.status} ${reply.body}`)
    return reply.body === '' ? {} : JSON.parse(reply.body)
  }
  await ask('sys/mounts/pki', { type: 'pki', config: { max_lease_ttl: '87600h' } })
  await ask('pki/root/generate/internal', { common_name: 'company root', ttl: '8760h', key_type: 'ec', key_bits: 256 })
  await ask('pki/roles/mesh', {
    allow_any_name: true,
    allowed_uri_sans: 'spiffe://weft.local/*',
    allow_ip_sans: true,
    require_cn: false,
    server_flag: true,
    client_flag: true,
    key_type: 'ec',
    key_bits: 256,
    max_ttl: '24h',
    no_store: true,
  })
  await ask('pki/roles/person', { allow_any_name: true, key_type: 'ec', key_bits: 256 })
  const { data: copied } = await ask('pki/issue/person', { common_name: 'somebody', ttl: '1h' })
  await ask('pki/revoke', { serial_number: copied!['serial_number'] })
  await ask('sys/policies/acl/mesh', { policy: 'path "pki/sign/mesh" { capabilities = ["create", "update"] }' })
  await ask('sys/auth/approle', { type: 'approle' })
  await ask('auth/approle/role/mesh', { token_policies: 'mesh', token_ttl: '1m' })
  const { data: role } = await ask('auth/approle/role/mesh/role-id')
  const { data: secret } = await ask('auth/approle/role/mesh/secret-id', {})
  const settings = peer.write(
    'authority.yaml',
    [
      'type: Vault',
      `address: ${address}`,
      'role: mesh',
      `crl: ${address}/v1/pki/crl/pem`,
      'appRole:',
      `  roleId: ${role!['role_id']}`,
      `  secretIdFile: ${peer.write('secret-id', secret!['secret_id']!)}`,
    ].join('\n'),
  )
  await using mesh = await serves(settings, {}, 'Vault')
  const { trust } = await mesh.client.status()
  assert.deepEqual(
    trust!.lists.map(({ issuer, entries }) => [issuer, entries]),
    [['CN=company root', 1]],
  )
  const { view } = await mesh.client.proxyConfig((await mesh.client.proxies()).find(({ service }) => service === 'server')!.id)
  assert.match(view.trust.crls!.join(''), /BEGIN X509 CRL/)
  // The role is taken away: the reason comes from Vault.
  await ask('sys/policies/acl/mesh', { policy: 'path "nothing" { capabilities = ["deny"] }' })
  await mesh.until('a reason', () => /gave no certificate: it answers 403: .*permission denied/.test(mesh.control.stderr))
})

test('an authority that cannot be reached keeps the control plane from starting, with the reason', {
  skip: 'missing' in installed('curl') ? 'curl is not installed' : false,
}, async () => {
  await using peer = new Peer()
  const port = await freePort()
  const settings = peer.write('authority.yaml', `type: Vault\naddress: http://127.0.0.1:${port}\nrole: mesh\n`)
  const mesh = new Mesh({ control: ['--authority', settings] })
  await assert.rejects(mesh.startControl(), /weft: http:\/\/127\.0\.0\.1:\d+ does not answer: connect ECONNREFUSED/)
  await mesh[Symbol.asyncDispose]()
})
