/** A strict port of a workload, tried by openssl, curl and a client made by hand: without a good certificate of the right trust domain nothing gets through. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import tls from 'node:tls'
import { issueLeaf, openSigner } from '../../src/identity/issue.ts'
import { newKey, readKey } from '../../src/identity/key.ts'
import { workloadId } from '../../src/identity/spiffe.ts'
import { canCapture } from '../../src/io/namespace.ts'
import { installed } from '../conformance/peers.ts'
import { certify } from '../harness/certify.ts'
import { startServer } from '../harness/load.ts'
import { Mesh, type Running } from '../harness/mesh.ts'

const verdict = await canCapture()
const missing = ['openssl', 'curl'].map(name => installed(name)).find(found => 'missing' in found)
const skip = verdict.ok ? (missing?.missing ?? false) : `${verdict.why}: ${verdict.remedy}`

const web = workloadId('weft.local', { namespace: 'default', serviceAccount: 'web' })
type Leaf = {
  /** Files `NAME.pem` and `NAME.key` of what signs it. */
  readonly by?: string
  readonly names?: string
  readonly usage?: string
  readonly isCa?: boolean
}

suite('a strict port', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-strict-'))
  const file = (name: string): string => join(folder, name)
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let mesh: Mesh
  let server: Running
  let port = 0

  /** Key, certificate and what stands above it, as files. Returns their name. */
  function leaf(name: string, { by = 'mesh', names = `URI:${web}`, usage = 'serverAuth,clientAuth', isCa = false }: Leaf): string {
    openssl(
      'req',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      file(`${name}.key`),
      '-out',
      file(`${name}.csr`),
      '-subj',
      '/',
    )
    writeFileSync(
      file(`${name}.ext`),
      [
        `basicConstraints=critical,CA:${isCa ? 'TRUE' : 'FALSE'}`,
        'keyUsage=critical,digitalSignature',
        ...(usage === '' ? [] : [`extendedKeyUsage=${usage}`]),
        ...(names === '' ? [] : [`subjectAltName=critical,${names}`]),
        '',
      ].join('\n'),
    )
    const signer = ['-CA', file(`${by}.pem`), '-CAkey', file(`${by}.key`), '-set_serial', String(Math.floor(Math.random() * 1e9))]
    openssl(
      'x509',
      '-req',
      '-in',
      file(`${name}.csr`),
      ...signer,
      '-days',
      '1',
      '-extfile',
      file(`${name}.ext`),
      '-out',
      file(`${name}.crt`),
    )
    writeFileSync(file(`${name}.chain`), readFileSync(file(`${name}.crt`), 'utf8') + readFileSync(file(`${by}.pem`), 'utf8'))
    return name
  }

  before(async () => {
    mesh = await Mesh.start()
    await mesh.strict()
    server = startServer(mesh, 'server', { instance: 'server' })
    startServer(mesh, 'observer', { instance: 'observer' })
    await mesh.healthy('server')
    await mesh.healthy('observer')
    const observer = (await mesh.client.proxies()).find(({ service }) => service === 'observer')!
    const { view } = await mesh.client.proxyConfig(observer.id)
    port = Object.values(view.endpoints).find(({ backend }) => backend.startsWith('default/server:'))!.endpoints[0]!.port
    const kept = readFileSync(join(mesh.folder, 'control/authority/intermediate.pem'), 'utf8')
    const [key = '', pem = ''] = kept.split(/(?=-----BEGIN CERTIFICATE)/)
    writeFileSync(file('mesh.key'), key)
    writeFileSync(file('mesh.pem'), pem)
    const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
    for (const name of ['stranger', 'other'])
      certify({ key: file(`${name}.key`), cert: file(`${name}.pem`), subject: `/CN=${name}`, extensions })
  })
  after(async () => {
    await mesh[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  /** One request by curl with that certificate; what came back, and how curl ended. */
  const curl = (name: string | undefined, ...flags: string[]) => {
    const shown = name === undefined ? [] : ['--cert', file(`${name}.chain`), '--key', file(`${name}.key`)]
    return spawnSync('curl', ['-sk', '-m', '10', '--alpn', '-i', ...shown, ...flags, `https://127.0.0.1:${port}/`], { encoding: 'utf8' })
  }
  const passes = (name: string | undefined, ...flags: string[]) => /x-answered-by: server/i.test(curl(name, ...flags).stdout)

  test('lets a good certificate of the mesh through: what is refused below is refused for its fault alone', () => {
    const good = leaf('good', {})
    assert.ok(passes(good), curl(good).stdout + curl(good).stderr)
    assert.ok(passes(good, '--http1.1'))
    assert.ok(passes(good, '--http2'))
  })

  const faults: readonly (readonly [string, Leaf])[] = [
    ['of another authority', { by: 'stranger' }],
    ['that names no SPIFFE id', { names: 'DNS:web' }],
    ['without any name', { names: '' }],
    ['with two URIs', { names: `URI:${web},URI:spiffe://weft.local/ns/default/sa/admin` }],
    ['of another trust domain, signed by this one', { names: 'URI:spiffe://other.mesh/ns/default/sa/web' }],
    ['that names the trust domain itself', { names: 'URI:spiffe://weft.local' }],
    ['with a URI that is no SPIFFE id', { names: 'URI:https://weft.local/ns/default/sa/web' }],
    ['that is for servers only', { usage: 'serverAuth' }],
    ['that may sign others', { isCa: true }],
  ]
  for (const [what, fault] of faults)
    test(`refuses a certificate ${what}`, () => {
      const name = leaf(`bad-${faults.findIndex(([each]) => each === what)}`, fault)
      for (const flags of [['--http1.1'], ['--http2']]) assert.equal(passes(name, ...flags), false, what)
    })

  test('refuses a certificate that has expired, and one that is not valid yet', async () => {
    const root = readFileSync(join(mesh.folder, 'control/authority/root.pem'), 'utf8').split(/(?=-----BEGIN CERTIFICATE)/)[1]!
    const [key, certificate] = ['mesh.key', 'mesh.pem'].map(name => readFileSync(file(name), 'utf8')) as [string, string]
    const signer = openSigner('weft.local', readKey(key), certificate, root)
    const make = async (name: string, issuedAt: number, lifeMs: number): Promise<string> => {
      const own = await newKey()
      const { chain } = issueLeaf(signer, own.public, web, issuedAt, { lifeMs })
      writeFileSync(file(`${name}.key`), own.pem)
      writeFileSync(file(`${name}.chain`), chain.slice(0, -1).join(''))
      return name
    }
    assert.ok(passes(await make('now', Date.now(), 60_000)), 'one of now that is made in the same way')
    assert.equal(passes(await make('expired', Date.now() - 120_000, 60_000)), false)
    assert.equal(passes(await make('early', Date.now() + 3_600_000, 3_600_000)), false)
  })

  test('refuses a good certificate without its key, and who shows none', () => {
    const good = leaf('keyless', {})
    writeFileSync(file(`${good}.key`), readFileSync(file('stranger.key')))
    assert.equal(passes(good), false)
    assert.equal(passes(undefined), false)
  })

  test('refuses TLS 1.2, whatever is shown', () => {
    const good = leaf('old', {})
    const ran = spawnSync(
      'openssl',
      ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2', '-cert', file(`${good}.chain`), '-key', file(`${good}.key`)],
      { input: 'GET / HTTP/1.1\r\nhost: server\r\n\r\n', encoding: 'utf8', timeout: 10_000 },
    )
    assert.doesNotMatch(ran.stdout, /x-answered-by/i)
    assert.match(ran.stderr + ran.stdout, /alert protocol version|handshake failure|no peer certificate available/i)
  })

  /** What comes back for those bytes on a plain connection. */
  const plain = (bytes: string): Promise<string> =>
    new Promise(resolve => {
      const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'))
      let heard = ''
      socket.setTimeout(5000, () => socket.destroy())
      socket
        .on('data', part => (heard += part.toString('latin1')))
        .on('error', () => {})
        .on('close', () => resolve(heard))
    })

  for (const [what, bytes] of [
    ['a request', 'GET / HTTP/1.1\r\nHost: server\r\n\r\n'],
    [
      'an upgrade to h2c',
      'GET / HTTP/1.1\r\nHost: server\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
    ],
    ['h2c by prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00'],
    ['a PROXY header of somebody trusted', 'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: server\r\n\r\n'],
    ['a request after a byte that looks like TLS', '\x16GET / HTTP/1.1\r\nHost: server\r\n\r\n'],
  ] as const)
    test(`refuses plaintext: ${what}`, async () => {
      assert.doesNotMatch(await plain(bytes), /x-answered-by/i)
    })

  test('a name of another server in SNI changes nothing: the certificate decides', async () => {
    const [good, bad] = [leaf('sni-good', {}), leaf('sni-bad', { by: 'stranger' })]
    const ask = (name: string, servername: string): Promise<string> =>
      new Promise(resolve => {
        const socket = tls.connect(
          {
            port,
            host: '127.0.0.1',
            servername,
            rejectUnauthorized: false,
            cert: readFileSync(file(`${name}.chain`)),
            key: readFileSync(file(`${name}.key`)),
            ALPNProtocols: ['http/1.1'],
          },
          () => socket.write('GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n'),
        )
        let heard = ''
        socket.setTimeout(5000, () => socket.destroy())
        socket
          .on('data', part => (heard += part))
          .on('error', () => {})
          .on('close', () => resolve(heard))
      })
    for (const servername of ['server', 'admin.internal', 'outbound_.80_._.other.default'])
      assert.doesNotMatch(await ask(bad, servername), /x-answered-by/i, servername)
    assert.match(await ask(good, 'server'), /x-answered-by/i)
  })

  test('nothing of all that reached the workload, and each refusal is counted with a reason', async () => {
    const seen = (await mesh.client.proxies()).find(({ service }) => service === 'server')!
    const text = await (await fetch(`${seen.admin}/metrics`)).text()
    const reasons = [...text.matchAll(/weft_handshakes_refused_total\{listener="inbound\/8080",reason="([^"]+)"\} (\d+)/g)].map(
      ([, reason]) => reason,
    )
    for (const reason of ['tls', 'no-id', 'many-ids', 'bad-id', 'wrong-trust-domain', 'signing-certificate'])
      assert.ok(reasons.includes(reason), `${reason} is not among ${reasons.join(', ')}`)
    assert.equal(server.child.exitCode, null)
  })
})
