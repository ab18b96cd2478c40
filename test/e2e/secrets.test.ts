/** Planted secrets, looked for in everything that the mesh says: pages of the API and of proxies, the command line, logs at their most talkative. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { connect, type KindPath } from '../../src/api/client.ts'
import type { RouteRight } from '../../src/api/mesh-api.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { installed } from '../conformance/peers.ts'
import { certify } from '../harness/certify.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, type Running } from '../harness/mesh.ts'

const openssl = installed('openssl')
const paths: Readonly<Record<string, KindPath>> = {
  Gateway: { ...kinds.httpRoute, plural: 'gateways' },
  Secret: { ...kinds.service, plural: 'secrets' },
  LoginPolicy: { group: 'weft.dev', version: 'v1alpha1', plural: 'loginpolicies', namespaced: true },
}

suite('planted secrets', { skip: 'missing' in openssl ? openssl.missing : false }, () => {
  let mesh: Mesh
  let gateway: Running
  let viewer = ''
  const planted = { clientSecret: 'a-planted-client-secret', sessionKey: 'planted-session-key-of-32-bytes!' }
  let key = ''
  const base64 = (text: string): string => Buffer.from(text).toString('base64')

  before(async () => {
    mesh = await Mesh.start({ env: { WEFT_LOG: 'debug' } })
    const file = (name: string): string => join(mesh.folder, name)
    certify({ key: file('key.pem'), cert: file('crt.pem'), subject: '/CN=edge', names: ['DNS:shop.localhost'] })
    key = readFileSync(file('key.pem'), 'utf8')
    const apply = (kind: string, name: string, rest: object, apiVersion: string) =>
      mesh.client.apply(paths[kind]!, { apiVersion, kind, metadata: { name, namespace: 'default' }, ...rest } as Resource)
    const data = { 'tls.crt': base64(readFileSync(file('crt.pem'), 'utf8')), 'tls.key': base64(key) }
    await apply('Secret', 'edge', { type: 'kubernetes.io/tls', data }, 'v1')
    await apply(
      'Secret',
      'client',
      { data: { 'client-secret': base64(planted.clientSecret), 'session-key': base64(planted.sessionKey) } },
      'v1',
    )
    const listeners = [{ name: 'https', port: await freePort(), protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'edge' }] } }]
    const spec = { gatewayClassName: 'weft', addresses: [{ value: '127.0.0.1' }], listeners }
    await apply('Gateway', 'edge', { spec }, 'gateway.networking.k8s.io/v1')
    const provider = { issuer: 'https://login.example', clientId: 'shop', clientSecretRef: { name: 'client' } }
    const login = { targetRefs: [{ kind: 'Gateway', name: 'edge' }], provider, session: { keyRef: { name: 'client' } } }
    await apply('LoginPolicy', 'people', { spec: login }, 'weft.dev/v1alpha1')
    gateway = mesh.gateway('edge')
    await mesh.until('the Gateway has all of it', async () => {
      const [proxy] = await mesh.client.proxies()
      return proxy !== undefined && proxy.active > 0 && proxy.active === proxy.wanted
    })
    viewer = (await mesh.client.createUser({ name: 'viewer', roles: ['viewer'] })).token
    // A change and a deletion are told with what was before.
    await apply(
      'Secret',
      'client',
      { data: { 'client-secret': base64(`${planted.clientSecret}-2`), 'session-key': base64(planted.sessionKey) } },
      'v1',
    )
  })
  after(() => mesh?.[Symbol.asyncDispose]())

  /** In any form in which they could be told: as they are, in base64, in hex, and in parts as a line of PEM is one. */
  const forms = (): readonly string[] => {
    const lines = key.split('\n').filter(line => /^[A-Za-z0-9+/=]{20,}$/.test(line))
    const whole = [planted.clientSecret, planted.sessionKey]
    return [
      ...lines,
      base64(key).slice(60, 120),
      Buffer.from(lines.join(''), 'base64').toString('hex').slice(60, 120),
      ...whole.flatMap(text => [text, base64(text).replace(/=*$/, '').slice(0, -1), Buffer.from(text).toString('hex')]),
    ]
  }
  const lookedThrough = (where: string, text: string): void => {
    assert.ok(text.length > 0, `${where} says nothing`)
    for (const form of forms()) assert.ok(!text.includes(form), `${where} tells ${form.slice(0, 8)}…: ${text.slice(0, 300)}`)
  }

  test('what is looked for is found where it may be: by an admin, in the Secret itself', async () => {
    const { items } = await mesh.client.list(paths['Secret']!)
    const text = JSON.stringify(items)
    assert.ok(text.includes(base64(key).slice(60, 120)))
    assert.ok(text.includes(base64(planted.sessionKey)))
  })

  test('no page of the operator API tells them to a viewer, and none beside the Secret to anybody', async () => {
    const [proxy] = await mesh.client.proxies()
    const rights = (await (await fetch(`${mesh.url}/weft/v1/rights`)).json()) as RouteRight[]
    const asked: string[] = []
    for (const { route } of rights) {
      if (!route.startsWith('GET ') || route.includes('/login')) continue
      const path = route.slice(4).replace(':namespace', 'default').replace(':id', proxy!.id).replace(':name', 'edge')
      const query = path.startsWith('/weft/') ? '?service=edge-weft.default' : ''
      for (const token of [viewer, undefined]) {
        if (token === undefined && path.includes('/secrets')) continue
        const reply = await fetch(
          `${mesh.url}${path}${query}`,
          token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } },
        )
        lookedThrough(`GET ${path} as ${token === undefined ? 'admin' : 'viewer'}: ${reply.status}`, await reply.text())
        if (reply.status === 200) asked.push(path)
      }
    }
    assert.ok(asked.includes(`/weft/v1/proxies/${proxy!.id}/config`) && asked.includes('/weft/v1/audit'), asked.join(' '))
    const watched = await fetch(`${mesh.url}/api/v1/secrets?watch=1&timeoutSeconds=1`, { headers: { authorization: `Bearer ${viewer}` } })
    lookedThrough('a watch', await watched.text())
  })

  test('nor the pages of the proxy, the command line, or a log', async () => {
    const [proxy] = await mesh.client.proxies()
    for (const page of ['/config', '/status', '/metrics', '/ready', '/'])
      lookedThrough(`${page} of the proxy`, await (await fetch(`${proxy!.admin}${page}`)).text())
    for (const line of [
      ['proxy', 'config', 'edge-weft', '-o', 'json'],
      ['audit', '--diff'],
      ['audit', '-o', 'jsonl'],
      ['status', '-o', 'json'],
      ['get', 'secrets', '-o', 'yaml', '--token', viewer],
      ['get', 'loginpolicies', '-o', 'yaml'],
      ['describe', 'secret', 'client'],
    ]) {
      const done = await mesh.weft(...line)
      assert.equal(done.code, 0, `weft ${line.join(' ')}: ${done.stderr}`)
      lookedThrough(`weft ${line.slice(0, 3).join(' ')}`, done.stdout + done.stderr)
    }
    assert.match(mesh.control.stderr, /"level":"debug"/)
    lookedThrough('the log of the control plane', mesh.control.stderr + mesh.control.stdout)
    lookedThrough('the log of the proxy', `a log\n${gateway.stderr}${gateway.stdout}`)
    assert.ok(!`${mesh.control.stderr}${mesh.control.stdout}${gateway.stderr}`.includes(viewer))
    assert.doesNotMatch(`${mesh.control.stderr}${gateway.stderr}`, /eyJ[\w-]{20,}\.eyJ/, 'a join token')
  })

  test('nor who is refused: a document that is wrong comes back without what else it held', async () => {
    const before = mesh.control.stderr.length
    const client = connect(mesh.url, { token: viewer })
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' }, data: { a: base64(planted.clientSecret), b: '!' } }
    await assert.rejects(client.create(paths['Secret']!, secret as Resource), { code: 403 })
    await assert.rejects(mesh.client.create(paths['Secret']!, secret as Resource), (thrown: Error) => {
      lookedThrough('the refusal', thrown.message)
      return true
    })
    const broken = await fetch(`${mesh.url}/api/v1/namespaces/default/secrets`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"data": {"a": "${planted.clientSecret}" "b"}}`,
    })
    assert.equal(broken.status, 400)
    lookedThrough('the log afterwards', `a log\n${mesh.control.stderr.slice(before)}`)
  })
})
