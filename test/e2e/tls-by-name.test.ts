/** TLS that nobody on the way decrypts: two nginx servers behind one address of the mesh, told apart by the server name that curl and openssl ask for. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active, type Rule } from '../harness/front.ts'
import { kinds, Mesh, path, type Shell } from '../harness/mesh.ts'

const tlsRoute = { ...kinds.httpRoute, plural: 'tlsroutes' }

const absent = ['nginx', 'curl', 'openssl'].find(name => spawnSync(name, ['-h'], { env: { PATH: path } }).error !== undefined)
const verdict = await canCapture()
const skip = absent !== undefined ? `${absent} is not installed` : verdict.ok ? false : verdict.why

describe('TLS by server name', { skip }, () => {
  let mesh: Mesh
  let caller: Shell

  before(async () => {
    mesh = await Mesh.start()
    for (const name of ['alpha', 'beta']) mesh.run(name, nginx(mesh.folder, name), { flags: ['--port', '8443/tls'] })
    caller = mesh.shell('caller')
    await mesh.healthy('alpha')
    await mesh.healthy('beta')
    await route('alpha', ['alpha.example.com', '*.wide.example.com'])
    await active(mesh, await route('beta', ['beta.example.com', 'exact.wide.example.com']))
  })
  after(() => mesh[Symbol.asyncDispose]())

  async function route(to: string, hostnames: readonly string[]): Promise<number> {
    const rules: Rule[] = [{ backendRefs: [{ name: to, port: 8443 }] }]
    const resource = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'TLSRoute',
      metadata: { name: to, namespace: 'default' },
      spec: { parentRefs: [{ group: '', kind: 'Service', name: 'alpha', port: 8443 }], hostnames, rules },
    } as Resource
    return Number((await mesh.client.apply(tlsRoute, resource, { force: true })).resource.metadata.resourceVersion)
  }

  /** Always the address of alpha; only the name differs. */
  const curl = (name: string) => `curl -sS --max-time 20 --cacert ${mesh.folder}/both.pem --connect-to ::alpha:8443 https://${name}/`

  for (const [name, server] of [
    ['alpha.example.com', 'alpha'],
    ['beta.example.com', 'beta'],
    ['deep.er.wide.example.com', 'alpha'],
    ['exact.wide.example.com', 'beta'],
  ] as const)
    test(`${name} is answered by ${server}, with the certificate of ${server}`, async () => {
      assert.equal(await caller.says(curl(name)), `this is ${server}\n`)
    })

  test('a name that no route has is refused in TLS, and said with the reason', async () => {
    const { code, output } = await caller.do(curl('gamma.example.com'))
    assert.equal(code, 35, output)
    assert.match(output, /unrecognized name/)
    const unnamed = await caller.do('openssl s_client -connect alpha:8443 -noservername')
    assert.match(unnamed.output, /unrecognized name/)
    assert.match(caller.running.stderr, /"reason":"no-route".*server name \\"gamma\.example\.com\\"/)
    assert.match(caller.running.stderr, /"reason":"no-route".*the caller names no server \(SNI\)/)
  })

  test('openssl sees the certificate of the server itself, and a long hello leads there too', async () => {
    const said = await caller.says('echo | openssl s_client -connect alpha:8443 -servername beta.example.com 2>&1 | grep "^subject"')
    assert.match(said, /CN ?= ?beta/)
    // 200 protocols to choose from make a hello of more than 4 KiB.
    const many = Array.from({ length: 200 }, (_, at) => `protocol-number-${at}`).join()
    const long = await caller.says(
      `echo | openssl s_client -connect alpha:8443 -servername beta.example.com -alpn ${many},http/1.1 2>&1 | grep "^subject"`,
    )
    assert.match(long, /CN ?= ?beta/)
  })

  test('a route that goes leaves its names to nobody', async () => {
    await mesh.client.delete(tlsRoute, 'beta', { namespace: 'default' })
    await mesh.until('beta.example.com refused', async () => (await caller.do(curl('beta.example.com'))).code === 35)
    assert.equal(await caller.says(curl('alpha.example.com')), 'this is alpha\n')
  })
})

/** An nginx with a certificate of its own for all names of the test, and the page that says who it is. */
function nginx(folder: string, name: string): readonly string[] {
  const own = join(folder, name)
  mkdirSync(own, { recursive: true })
  const names = 'DNS:alpha.example.com,DNS:beta.example.com,DNS:exact.wide.example.com,DNS:*.er.wide.example.com,DNS:gamma.example.com'
  const made = spawnSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'].concat(
      ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${names}`],
      ['-keyout', `${own}/key.pem`, '-out', `${own}/cert.pem`],
    ),
    { env: { PATH: path }, encoding: 'utf8' },
  )
  if (made.status !== 0) throw new Error(made.stderr)
  writeFileSync(join(folder, 'both.pem'), readFileSync(`${own}/cert.pem`), { flag: 'a' })
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(each => `${each}_temp_path ${own}/${each};`).join(' ')
  const server = `listen 127.0.0.1:8443 ssl; ssl_certificate ${own}/cert.pem; ssl_certificate_key ${own}/key.pem; location / { return 200 "this is ${name}\\n"; }`
  writeFileSync(
    join(own, 'nginx.conf'),
    `daemon off; pid ${own}/pid; error_log ${own}/error.log; events {} http { access_log off; ${temporary} server { ${server} } }`,
  )
  return ['nginx', '-e', `${own}/error.log`, '-c', join(own, 'nginx.conf')]
}
