/** The operator API over TLS: where it is served in the clear and where not, its certificate, those of clients, kubectl with a token and with a certificate, limits. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { copyFileSync, globSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import tls from 'node:tls'
import { SignJWT } from 'jose'
import { connect, type Client } from '../../src/api/client.ts'
import { fetchWith } from '../../src/io/fetch.ts'
import { installed } from '../conformance/peers.ts'
import { Mesh } from '../harness/mesh.ts'
import { ask, statusIn } from './operators/caller.ts'

const openssl = installed('openssl')
const kubectl = installed('kubectl')

suite('the operator API over TLS', { skip: 'missing' in openssl ? openssl.missing : false }, () => {
  const mesh = new Mesh({ control: ['--require-login'] })
  const file = (name: string): string => join(mesh.folder, name)
  const run = (...args: string[]): void => void execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let ca = ''
  let asAdmin: Client
  const call = (path: string, { tls: more, ...asking }: Parameters<typeof ask>[1] = {}) =>
    ask(`${mesh.url}${path}`, { ...asking, tls: { ca: readFileSync(ca), ...more } })
  const showing = (name: string) => ({ cert: readFileSync(file(`${name}.pem`)), key: readFileSync(file(`${name}.key`)) })

  /** A certificate with its key, as files. by: a name of an authority; absent: its own. */
  function certify(name: string, subject: string, by: string | undefined, extensions: string): void {
    run('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file(`${name}.key`))
    run('req', '-new', '-key', file(`${name}.key`), '-subj', subject, '-out', file(`${name}.csr`))
    writeFileSync(file(`${name}.ext`), extensions)
    const signed =
      by === undefined ? ['-signkey', file(`${name}.key`)] : ['-CA', file(`${by}.pem`), '-CAkey', file(`${by}.key`), '-CAcreateserial']
    run('x509', '-req', '-in', file(`${name}.csr`), ...signed, '-days', '2', '-extfile', file(`${name}.ext`), '-out', file(`${name}.pem`))
  }
  /** As much of an OpenID provider as gives programs tokens. */
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...keys.publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }
  let issuer = ''
  const provider = http.createServer((request, reply) => {
    reply.setHeader('content-type', 'application/json')
    if (request.url === '/jwks') return reply.end(JSON.stringify({ keys: [jwk] }))
    const at = (path: string): string => `${issuer}${path}`
    reply.end(JSON.stringify({ issuer, jwks_uri: at('/jwks'), authorization_endpoint: at('/auth'), token_endpoint: at('/token') }))
  })
  const tokenWith = (claims: Record<string, unknown>, life = '5m'): Promise<string> =>
    new SignJWT({ sub: 'eve', groups: ['platform'], ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'one', typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(typeof claims['aud'] === 'string' ? claims['aud'] : 'weft')
      .setExpirationTime(life)
      .sign(keys.privateKey)
  const ofClient = 'extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n'

  before(async () => {
    certify('clients', '/CN=clients', undefined, 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n')
    certify('ada', '/O=platform/CN=ada', 'clients', ofClient)
    certify('bob', '/CN=bob', 'clients', ofClient)
    certify('robot', '/CN=robot', 'clients', `${ofClient}subjectAltName=URI:spiffe://example.org/ns/ops/sa/robot\n`)
    certify('others', '/CN=others', undefined, 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n')
    certify('mallory', '/O=platform/CN=ada', 'others', ofClient)
    certify('one', '/CN=api', undefined, 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    certify('two', '/CN=api', undefined, 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    copyFileSync(file('one.pem'), file('api.pem'))
    copyFileSync(file('one.key'), file('api.key'))
    await new Promise<void>(done => provider.listen(0, '127.0.0.1', done))
    issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`
    writeFileSync(
      file('operators.yaml'),
      `oidc: { issuer: '${issuer}', clientId: weft }
certificates: { caFile: ${file('clients.pem')} }
grants:
- { certificateGroup: platform, role: admin }
- { oidcGroup: platform, role: viewer }
- { certificate: spiffe://example.org/ns/ops/sa/robot, role: editor, namespaces: [default] }
limits: { requestsPerSecond: 20, burst: 400, watches: 3, connections: 20 }
allowedOrigins: [https://tools.example]
`,
    )
    await mesh.startControl(['--api-cert', file('api.pem'), '--api-key', file('api.key'), '--operators', file('operators.yaml')])
    ca = file('one.pem')
    const admin = fetchWith({
      ca: readFileSync(ca, 'utf8'),
      certificate: { cert: String(showing('ada').cert), key: String(showing('ada').key) },
    })
    asAdmin = connect(mesh.url, { fetch: admin })
  })
  after(async () => {
    provider.close()
    await mesh[Symbol.asyncDispose]()
  })

  test('no token of a first admin is made where the settings name one', () => {
    assert.throws(() => readFileSync(join(mesh.folder, 'control', 'admin.token')), /ENOENT/)
  })

  test('a client certificate is somebody by its group, its SPIFFE id, or nobody; of another authority it is refused', async () => {
    assert.equal((await call('/weft/v1/users', { tls: showing('ada') })).status, 200)
    const bob = await call('/weft/v1/status', { tls: showing('bob') })
    assert.equal(bob.status, 403)
    assert.match(
      statusIn(bob).message,
      /user "CN=bob" may not see the status in the whole mesh: that needs the role viewer, and there is no role/,
    )
    assert.equal((await call('/api/v1/namespaces/default/configmaps', { tls: showing('robot') })).status, 200)
    assert.equal((await call('/weft/v1/status', { tls: showing('robot') })).status, 403)
    const mallory = await call('/weft/v1/status', { tls: showing('mallory') })
    assert.equal(mallory.status, 401)
    assert.match(statusIn(mallory).message, /not signed by a root that is configured here/)
    assert.equal((await call('/weft/v1/status')).status, 401)
    const { items } = await asAdmin.audit({ who: 'CN=bob' })
    assert.deepEqual(
      items.map(({ action, how }) => [action, how]),
      [['refused call', 'certificate']],
    )
  })

  test('a token of the OpenID provider is somebody by its groups; one that is expired, for others, or signed otherwise is refused', async () => {
    const good = await tokenWith({})
    assert.equal((await call('/weft/v1/status', { token: good })).status, 200)
    const denied = await call('/weft/v1/users', { token: good })
    assert.equal(denied.status, 403)
    assert.match(statusIn(denied).message, /user "eve" may not list users/)
    const nobody = await call('/weft/v1/status', { token: await tokenWith({ groups: ['others'] }) })
    assert.match(statusIn(nobody).message, /and there is no role/)
    const [head, body] = good.split('.')
    // The public key taken for a secret: what is signed by it anybody could have made.
    const confused = `${Buffer.from(JSON.stringify({ alg: 'HS256', kid: 'one' })).toString('base64url')}.${body}`
    const pem = keys.publicKey.export({ type: 'spki', format: 'pem' })
    for (const [token, says] of [
      [await tokenWith({}, '-2m'), /it has expired/],
      [await tokenWith({ aud: 'others' }), /it is for another audience/],
      [await tokenWith({ sub: '' }), /says no sub/],
      [`${head}.${body}.${Buffer.alloc(64).toString('base64url')}`, /signature does not fit/],
      [`${confused}.${createHmac('sha256', pem).update(confused).digest('base64url')}`, /not signed by an algorithm that is taken/],
    ] as const) {
      const answer = await call('/weft/v1/status', { token })
      assert.equal(answer.status, 401)
      assert.match(statusIn(answer).message, says)
    }
    const { items } = await asAdmin.audit({ who: 'eve' })
    assert.deepEqual(new Set(items.map(({ how }) => how)), new Set(['oidc']))
  })

  test('over TLS the cookie of a session is for this host and for TLS alone', async () => {
    const { token } = await asAdmin.createUser({ name: 'cookie', roles: ['viewer'] })
    const entered = await call('/weft/v1/login', { method: 'POST', body: JSON.stringify({ token }) })
    assert.equal(entered.status, 200)
    const [cookie = ''] = entered.headers['set-cookie'] ?? []
    assert.match(cookie, /^__Host-weft-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+; Secure$/)
    const pair = { cookie: cookie.split(';')[0]! }
    assert.equal((await call('/weft/v1/status', { headers: pair })).status, 200)
    assert.equal((await call('/weft/v1/logout', { method: 'POST', headers: pair })).status, 200)
    assert.equal((await call('/weft/v1/status', { headers: pair })).status, 401)
  })

  test('weft shows a client certificate, by flags and by a context', async () => {
    const flags = ['--client-cert', file('ada.pem'), '--client-key', file('ada.key'), '--ca', ca]
    const whoami = await mesh.weft('user', 'whoami', ...flags)
    assert.match(whoami.stdout, /^CN=ada by certificate: admin/, whoami.stderr)
    const set = await mesh.weft('context', 'set', 'here', '--control', mesh.url, ...flags)
    assert.equal(set.code, 0, set.stderr)
    const used = await mesh.spawn([...mesh.program, 'user', 'whoami']).exited
    assert.match(used.stdout, /^CN=ada by certificate/, used.stderr)
    const unknown = await mesh.weft('user', 'whoami')
    assert.match(unknown.stderr, /give (its root|that) with --ca FILE|leads to a root that is not known/)
  })

  test('kubectl: a kubeconfig with a token, what it may and may not; and one with a certificate', {
    skip: 'missing' in kubectl ? kubectl.missing : false,
  }, async () => {
    await asAdmin.create(
      { group: '', version: 'v1', plural: 'namespaces', namespaced: false },
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
    )
    const { token } = await asAdmin.createUser({ name: 'kube', roles: ['viewer', 'editor:shop'] })
    const config = (name: string, user: object): string => {
      const said = {
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'weft',
        clusters: [{ name: 'weft', cluster: { server: mesh.url, 'certificate-authority': ca } }],
        users: [{ name: 'me', user }],
        contexts: [{ name: 'weft', context: { cluster: 'weft', user: 'me', namespace: 'shop' } }],
      }
      writeFileSync(file(name), JSON.stringify(said), { mode: 0o600 })
      return file(name)
    }
    const byToken = config('by-token', { token })
    const byCertificate = config('by-certificate', { 'client-certificate': file('ada.pem'), 'client-key': file('ada.key') })
    const run = (kubeconfig: string, ...args: string[]) =>
      mesh.spawn(['path' in kubectl ? kubectl.path : '', '--kubeconfig', kubeconfig, ...args]).exited
    const applied = await run(byToken, 'create', 'configmap', 'from-kubectl', '--from-literal=a=b')
    assert.equal(applied.code, 0, applied.stderr)
    const refused = await run(byToken, 'create', 'configmap', 'x', '--from-literal=a=b', '-n', 'default')
    assert.equal(refused.code, 1)
    assert.match(
      refused.stderr,
      /configmaps is forbidden: user "kube" may not create configmaps in namespace "default": that needs the role editor:default/,
    )
    assert.match((await run(byToken, 'auth', 'can-i', 'create', 'services')).stdout, /^yes/)
    assert.match((await run(byToken, 'auth', 'can-i', 'create', 'services', '-n', 'default')).stdout, /^no/)
    assert.match((await run(byToken, 'auth', 'can-i', 'list', 'services', '-A')).stdout, /^yes/)
    assert.match((await run(byToken, 'auth', 'can-i', 'delete', 'namespaces')).stdout, /^no/)
    assert.match((await run(byToken, 'auth', 'whoami')).stdout, /Username +kube/)
    // Although it cannot read what it holds.
    const secret = (value: string): string => {
      const data = { password: Buffer.from(value).toString('base64') }
      writeFileSync(file('secret.json'), JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, data }))
      return file('secret.json')
    }
    for (const value of ['one', 'two']) {
      const done = await run(byToken, 'apply', '-f', secret(value))
      assert.equal(done.code, 0, done.stderr)
    }
    const seen = await run(byToken, 'get', 'secret', 'keys', '-o', 'json')
    assert.equal(Buffer.from((JSON.parse(seen.stdout) as { data: { password: string } }).data.password, 'base64').toString(), '(hidden)')
    for (const value of ['one', 'two']) assert.ok(!seen.stdout.includes(Buffer.from(value).toString('base64')), seen.stdout)
    const read = await run(byCertificate, 'get', 'secret', 'keys', '-o', 'jsonpath={.data.password}')
    assert.equal(Buffer.from(read.stdout, 'base64').toString(), 'two')
    const deleted = await run(byCertificate, 'delete', 'configmap', 'from-kubectl')
    assert.equal(deleted.code, 0, deleted.stderr)
    const wrong = await run(config('wrong', { token: 'weft_nonsense' }), 'get', 'services')
    assert.equal(wrong.code, 1)
    assert.match(wrong.stderr, /You must be logged in/)
  })

  test('plaintext, TLS 1.1 and weak ciphers do not get through; what comes says that only TLS may', async () => {
    const { hostname, port, host } = new URL(mesh.url)
    const plain = await ask(`http://${host}/healthz`).then(
      ({ status }) => `answered ${status}`,
      () => 'closed',
    )
    assert.equal(plain, 'closed')
    const shake = (options: tls.ConnectionOptions): Promise<string> =>
      new Promise(resolve => {
        const socket = tls.connect({ host: hostname, port: Number(port), rejectUnauthorized: false, ...options }, () => {
          resolve(`${socket.getProtocol()} ${socket.getCipher().name}`)
          socket.destroy()
        })
        socket.once('error', error => resolve(error.message))
      })
    assert.match(await shake({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }), /alert|version|protocol/i)
    assert.match(await shake({ maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }), /alert|handshake/i)
    assert.match(await shake({ maxVersion: 'TLSv1.2' }), /^TLSv1\.2 ECDHE-/)
    assert.match(await shake({}), /^TLSv1\.3 /)
    // There it would hold for every other server of this machine too.
    assert.equal((await call('/healthz')).headers['strict-transport-security'], undefined)
  })

  test('a certificate that is replaced is shown to the next connection; one that is broken is not', async () => {
    const shown = async (): Promise<string> => {
      const { hostname, port } = new URL(mesh.url)
      return new Promise((resolve, reject) => {
        const socket = tls.connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
          resolve(socket.getPeerCertificate().fingerprint256)
          socket.destroy()
        })
        socket.once('error', reject)
      })
    }
    const first = await shown()
    writeFileSync(file('api.key'), 'no key')
    await mesh.until('it says that the key is no use', () => /cannot be used; what was there before serves on/.test(mesh.control.stderr))
    assert.equal(await shown(), first)
    copyFileSync(file('two.pem'), file('api.pem'))
    copyFileSync(file('two.key'), file('api.key'))
    await mesh.until('the other certificate is shown', async () => (await shown()) !== first)
    ca = file('two.pem')
    copyFileSync(file('one.pem'), file('api.pem'))
    copyFileSync(file('one.key'), file('api.key'))
    await mesh.until('the first one is shown again', async () => (await shown()) === first)
    ca = file('one.pem')
  })

  test('pages of a configured origin may call with a token, and with nothing else', async () => {
    const origin = 'https://tools.example'
    const { token } = await asAdmin.createUser({ name: 'tools', roles: ['viewer'] })
    const preflight = await call('/api', { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'GET' } })
    assert.equal(preflight.status, 204)
    assert.equal(preflight.headers['access-control-allow-origin'], origin)
    assert.equal(preflight.headers['access-control-allow-credentials'], undefined)
    const read = await call('/weft/v1/status', { token, headers: { origin } })
    assert.equal(read.headers['access-control-allow-origin'], origin)
    const review = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
    const cross = { origin, 'sec-fetch-site': 'cross-site' }
    assert.equal((await call(review, { method: 'POST', token, headers: cross, body: '{}' })).status, 201)
    assert.equal((await call(review, { method: 'POST', headers: cross, body: '{}', tls: showing('ada') })).status, 403)
  })

  test('too many requests, watches and connections are each answered with 429 and when to come again', async () => {
    const { token } = await asAdmin.createUser({ name: 'greedy', roles: ['viewer'] })
    const agentless = fetchWith({ ca: readFileSync(ca, 'utf8') })
    const watch = () =>
      agentless(`${mesh.url}/api/v1/namespaces/default/services?watch=1`, { headers: { authorization: `Bearer ${token}` } })
    const open = [await watch(), await watch(), await watch()]
    const fourth = await watch()
    assert.equal(fourth.status, 429)
    assert.match(await fourth.text(), /3 watches of one caller are open/)
    assert.ok(Number(fourth.headers.get('retry-after')) >= 1)
    await open[0]!.body!.cancel()
    await mesh.until('another watch may begin', async () => {
      const next = await watch()
      await next.body!.cancel()
      return next.status === 200
    })
    for (const each of open.slice(1)) await each.body!.cancel()

    let refused: Response | undefined
    for (let n = 0; n < 2000 && refused === undefined; n++) {
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => agentless(`${mesh.url}/weft/v1/rights`, { headers: { authorization: `Bearer ${token}` } })),
      )
      refused = answers.find(({ status }) => status === 429)
      await Promise.all(answers.filter(each => each !== refused).map(each => each.text()))
    }
    assert.equal(refused?.status, 429)
    const said = JSON.parse(await refused!.text()) as { reason: string; message: string; details: { retryAfterSeconds: number } }
    assert.equal(said.reason, 'TooManyRequests')
    assert.match(said.message, /more than 20 requests a second from one caller: try again in \d+ s/)
    assert.equal(Number(refused!.headers.get('retry-after')), said.details.retryAfterSeconds)
    // Others are served on.
    assert.equal((await call('/weft/v1/users', { tls: showing('ada') })).status, 200)

    const { hostname, port } = new URL(mesh.url)
    const sockets = Array.from({ length: 30 }, () => net.connect(Number(port), hostname).on('error', () => {}))
    try {
      await mesh.until('a further connection is refused', async () => {
        const answer = await call('/healthz')
        return answer.status === 429 && /more than 20 connections from one address/.test(statusIn(answer).message)
      })
    } finally {
      for (const socket of sockets) socket.destroy()
    }
    await mesh.until('it serves again', async () => (await call('/healthz')).status === 200)
  })
})

test('beyond this machine it is served over TLS or not at all, and login is required', async () => {
  await using mesh = new Mesh()
  const start = (...flags: string[]) =>
    mesh.spawn([...mesh.program, 'control', '--data', join(mesh.folder, 'c'), '--api-port', '0', '--xds-port', '0', '-o', 'json', ...flags])
  const refused = await start('--api-host', '0.0.0.0').exited
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /--api-host 0\.0\.0\.0: .*--api-name.*--api-cert FILE --api-key FILE.*--insecure-plaintext-api/)
  const torn = await start('--api-host', '0.0.0.0', '--insecure-plaintext-api', '--api-name', 'a.example').exited
  assert.match(torn.stderr, /contradict each other/)

  writeFileSync(join(mesh.folder, 'operators.yaml'), 'certificates: {}\n')
  const mute = await start('--operators', join(mesh.folder, 'operators.yaml')).exited
  assert.match(mute.stderr, /operators\.yaml: certificates: are shown over TLS only/)

  type Said = { api: string; ca?: string; firstAdmin: string }
  const said = async (running: ReturnType<typeof start>): Promise<Said> => {
    await mesh.until('it is there', () => running.stdout.includes('\n') || running.child.exitCode !== null)
    assert.equal(running.child.exitCode, null, running.stderr)
    return JSON.parse(running.stdout) as Said
  }
  const secure = start('--api-host', '0.0.0.0', '--api-name', 'mesh.example', '--api-name', '127.0.0.1')
  const { api, ca, firstAdmin } = await said(secure)
  assert.match(api, /^https:/)
  const token = readFileSync(firstAdmin, 'utf8').trim()
  const roots = readFileSync(ca!)
  assert.equal((await ask(`${api}/weft/v1/status`, { tls: { ca: roots } })).status, 401)
  const named = await ask(`${api}/weft/v1/status`, {
    token,
    tls: { ca: roots, servername: 'mesh.example' },
    headers: { host: 'mesh.example' },
  })
  assert.equal(named.status, 200)
  assert.equal(named.headers['strict-transport-security'], 'max-age=31536000')
  await secure.stop()

  const insecure = start('--api-host', '0.0.0.0', '--insecure-plaintext-api')
  const plain = await said(insecure)
  assert.match(plain.api, /^http:/)
  assert.equal((await ask(`${plain.api}/weft/v1/status`)).status, 401)
  assert.equal((await ask(`${plain.api}/weft/v1/status`, { token })).status, 200)
  await insecure.stop()
})

test('a workload of the mesh is known to the API by its own certificate, as far as it has a role; by name and ca.pem the API is known to all', async () => {
  await using mesh = new Mesh()
  const operators = join(mesh.folder, 'operators.yaml')
  writeFileSync(operators, 'certificates: {}\ngrants: [{ certificate: "spiffe://weft.local/ns/default/sa/deployer", role: viewer }]\n')
  await mesh.startControl(['--require-login', '--api-name', 'localhost', '--operators', operators])
  const ca = join(mesh.folder, 'control', 'ca.pem')
  const admin = { WEFT_CA: ca, WEFT_TOKEN_FILE: join(mesh.folder, 'control', 'admin.token') }
  for (const name of ['deployer', 'stranger']) {
    const done = await mesh.job(name, ['true'], { flags: ['--capture', 'proxy'], env: admin })
    assert.equal(done.code, 0, done.stderr)
    const [folder] = globSync(join(mesh.stateOf(undefined), 'weft', 'proxies', `**/*${name}*`)).filter(path => statSync(path).isDirectory())
    const files = globSync(`${folder}/**/*.pem`).map(path => readFileSync(path, 'utf8'))
    const key = files.join('\n').match(/-----BEGIN PRIVATE KEY-----[^]*?-----END PRIVATE KEY-----/)![0]
    const cert = files
      .join('\n')
      .match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g)!
      .join('\n')
    const answer = await ask(`${mesh.url.replace('127.0.0.1', 'localhost')}/weft/v1/status`, { tls: { ca: readFileSync(ca), key, cert } })
    if (name === 'deployer') assert.equal(answer.status, 200, answer.text)
    else assert.match(statusIn(answer).message, /user "spiffe:\/\/weft\.local\/ns\/default\/sa\/stranger" may not see the status/)
  }
})
