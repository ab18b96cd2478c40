/** Who may do what with the operator API, over real sockets: tokens, roles, each route of the table, kubectl, limits, the record of what was refused. */

import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { connect, type Client } from '../../src/api/client.ts'
import type { RouteRight, UserReply } from '../../src/api/mesh-api.ts'
import { installed } from '../conformance/peers.ts'
import { Mesh } from '../harness/mesh.ts'
import { ask, statusIn } from './operators/caller.ts'

suite('a control plane that requires login', () => {
  let mesh: Mesh
  let admin = ''
  let asAdmin: Client
  const tokens = new Map<string, string>()
  /** Of a user with these roles. */
  const tokenOf = async (name: string, ...roles: string[]): Promise<string> => {
    if (!tokens.has(name)) tokens.set(name, (await asAdmin.createUser({ name, roles })).token)
    return tokens.get(name)!
  }
  const call = (path: string, asking: Parameters<typeof ask>[1] = {}) => ask(`${mesh.url}${path}`, asking)

  before(async () => {
    mesh = await Mesh.start({ control: ['--require-login'] })
    admin = readFileSync(join(mesh.folder, 'control', 'admin.token'), 'utf8').trim()
    asAdmin = connect(mesh.url, { token: admin })
    for (const name of ['shop', 'bank'])
      await asAdmin.create(
        { group: '', version: 'v1', plural: 'namespaces', namespaced: false },
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
      )
  })
  after(() => mesh?.[Symbol.asyncDispose]())

  test('the token of the first admin is in a file that only its owner reads, and is made once', async () => {
    const file = join(mesh.folder, 'control', 'admin.token')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    await mesh.control.stop()
    await mesh.startControl()
    assert.equal(readFileSync(file, 'utf8').trim(), admin)
    assert.equal((await asAdmin.users()).length, 1 + tokens.size)
  })

  test('who is logged in stays so over a restart of the control plane, until the user is revoked', async () => {
    const { token } = await asAdmin.createUser({ name: 'lasting', roles: ['viewer'] })
    const login = await call('/weft/v1/login', { method: 'POST', body: JSON.stringify({ token }) })
    const cookie = String(login.headers['set-cookie']).split(';')[0]!
    const see = async () => (await call('/weft/v1/status', { headers: { cookie } })).status
    assert.equal(await see(), 200)
    await mesh.control.stop()
    await mesh.startControl()
    assert.equal(await see(), 200)
    assert.equal(statSync(join(mesh.folder, 'control', 'sessions.db')).mode & 0o777, 0o600)
    await asAdmin.revokeUser('lasting')
    assert.equal(await see(), 401)
  })

  test('each route refuses who is nobody, and each who has not the right, by a Status that says which is missing', async () => {
    const viewer = await tokenOf('viewer', 'viewer')
    const elsewhere = await tokenOf('elsewhere', 'editor:bank')
    const editor = await tokenOf('editor', 'editor')
    const table = JSON.parse((await call('/weft/v1/rights', { token: viewer })).text) as RouteRight[]
    assert.ok(table.length > 100, `only ${table.length} routes`)
    const wrong: string[] = []
    for (const { route, right } of table) {
      const [method = '', pattern = ''] = route.split(' ')
      const path = pattern.replace(':namespace', 'shop').replace(/:\w+/g, 'x.shop')
      const expect = async (who: string, token: string | undefined, codes: readonly number[]): Promise<void> => {
        const answer = await call(path, { method, token, ...(method === 'GET' ? {} : { body: '{}' }) })
        const isRefused = answer.status === 401 || answer.status === 403
        if (codes.length === 0 ? isRefused : !codes.includes(answer.status))
          wrong.push(`${route} as ${who}: ${answer.status} ${answer.text}`)
        if (codes.length === 0) return
        const { kind, code, reason, message } = statusIn(answer)
        const names = answer.status === 401 ? /requires login/ : /needs the role (viewer|editor|admin)(:[\w.]+)?, and there is/
        if (kind !== 'Status' || code !== answer.status || !['Unauthorized', 'Forbidden'].includes(reason) || !names.test(message))
          wrong.push(`${route} as ${who}: ${answer.text}`)
      }
      if (right === 'nobody') wrong.push(`${route} has no entry in the table`)
      if (right === 'open' || right === 'nobody') continue
      await expect('nobody', undefined, [401])
      if (right === 'known') continue
      // What has effects on the whole mesh is not tried with the right.
      await expect('elsewhere', elsewhere, [403])
      if (right === 'read') await expect('viewer', viewer, [])
      else await expect('viewer', viewer, [403])
      if (right === 'administer') await expect('editor', editor, [403])
      if (right === 'edit' && method !== 'DELETE') await expect('editor', editor, [])
    }
    assert.deepEqual(wrong, [])
  })

  test('a route without an entry is for nobody, not even for an admin', async () => {
    const { createOperatorApi } = await import('#control/api')
    const { openStore } = await import('#control/store')
    using store = openStore({ path: ':memory:' })
    const { handler } = createOperatorApi({
      store,
      version: '0',
      extra: [{ method: 'GET', path: '/weft/v1/forgotten', handle: () => ({ status: 200, body: 'told' }) }],
    })
    const reply = await handler({
      method: 'GET',
      path: '/weft/v1/forgotten',
      query: new URLSearchParams(),
      headers: {},
      signal: new AbortController().signal,
      address: '127.0.0.1',
      isSecure: false,
      body: async () => new Uint8Array(),
    })
    assert.equal(reply.status, 403)
    assert.match(String(reply.body), /is for nobody: no right is declared/)
  })

  test('what is alive, and how to log in, is told without login; what there is, is not', async () => {
    for (const path of ['/healthz', '/livez', '/readyz', '/weft/v1/login', '/']) assert.equal((await call(path)).status, 200, path)
    for (const path of ['/version', '/api', '/apis', '/openapi/v3', '/weft/v1/nothing', '/apis/none/v1/x'])
      assert.equal((await call(path)).status, 401, path)
    const challenge = await call('/api')
    assert.match(String(challenge.headers['www-authenticate']), /^Bearer /)
  })

  test('an editor changes what is in its namespaces, and nothing else', async () => {
    const token = await tokenOf('shop-editor', 'editor:shop')
    const map = (namespace: string) =>
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'colours', namespace }, data: { a: 'b' } })
    const post = (namespace: string) => call(`/api/v1/namespaces/${namespace}/configmaps`, { method: 'POST', token, body: map(namespace) })
    assert.equal((await post('shop')).status, 201)
    const refused = await post('bank')
    assert.equal(refused.status, 403)
    assert.match(
      statusIn(refused).message,
      /user "shop-editor" may not create configmaps in namespace "bank": that needs the role editor:bank, and there is the role editor:shop/,
    )
    assert.equal((await call('/api/v1/namespaces/shop/configmaps', { token })).status, 200)
    assert.equal((await call('/api/v1/configmaps', { token })).status, 403)
    // The namespace of the document does not count, but that of the path.
    const smuggled = await call('/api/v1/namespaces/shop/configmaps', { method: 'POST', token, body: map('bank') })
    assert.equal(smuggled.status, 400)
    for (const path of [
      '/api/v1/namespaces/bank%2f..%2fshop/configmaps',
      '/api//v1/namespaces/bank/configmaps',
      '/api/v1/namespaces/bank/configmaps/',
    ])
      assert.notEqual((await call(path, { method: 'POST', token, body: map('bank') })).status, 201, path)
    assert.equal((await call('/api/v1/namespaces/shop', { method: 'DELETE', token })).status, 403)
  })

  test('a join token is for the admin of the namespace', async () => {
    const token = await tokenOf('shop-admin', 'admin:shop')
    const join = (namespace: string) =>
      call('/weft/v1/tokens', { method: 'POST', token, body: JSON.stringify({ namespace, serviceAccount: 'web' }) })
    assert.equal((await join('shop')).status, 201)
    assert.equal((await join('bank')).status, 403)
    assert.equal((await call('/weft/v1/tokens', { method: 'POST', token, body: 'nonsense' })).status, 403)
  })

  test('a Registration gives identities as a join token does: it is for the admin of the namespace', async () => {
    const body = JSON.stringify({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'Registration',
      metadata: { name: 'all-of-root' },
      spec: { serviceAccount: 'web', process: { uid: 0 } },
    })
    const path = '/apis/weft.dev/v1alpha1/namespaces/shop/registrations'
    const post = (token: string) => call(path, { method: 'POST', token, body })
    const editor = await tokenOf('shop-registrar', 'editor:shop')
    assert.match(statusIn(await post(editor)).message, /may not create registrations.weft.dev .*needs the role admin:shop/)
    const admin = await tokenOf('shop-owner', 'admin:shop')
    assert.equal((await post(admin)).status, 201)
    assert.equal((await call(`${path}/all-of-root`, { method: 'DELETE', token: editor })).status, 403)
    assert.equal((await call(`${path}/all-of-root`, { method: 'DELETE', token: admin })).status, 200)
  })

  test('an ExternalService takes calls of all namespaces: it is for an editor of the whole mesh', async () => {
    const body = JSON.stringify({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'ExternalService',
      metadata: { name: 'payments' },
      spec: { hosts: ['payments.example'], ports: [{ port: 80, protocol: 'HTTP' }], resolution: 'DNS' },
    })
    const path = '/apis/weft.dev/v1alpha1/namespaces/shop/externalservices'
    const narrow = await tokenOf('shop-outside', 'viewer', 'editor:shop')
    const refused = await call(path, { method: 'POST', token: narrow, body })
    assert.match(statusIn(refused).message, /may not create externalservices.weft.dev in the whole mesh: that needs the role editor, /)
    assert.equal((await call(path, { token: narrow })).status, 200)
    const asked = async (token: string) => {
      const resourceAttributes = { verb: 'create', group: 'weft.dev', resource: 'externalservices', namespace: 'shop' }
      const review = JSON.stringify({
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes },
      })
      const { text: told } = await call('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { method: 'POST', token, body: review })
      return (JSON.parse(told) as { status: { allowed: boolean } }).status.allowed
    }
    assert.equal(await asked(narrow), false)
    const wide = await tokenOf('outside', 'editor')
    assert.equal(await asked(wide), true)
    assert.equal((await call(path, { method: 'POST', token: wide, body })).status, 201)
    assert.equal((await call(`${path}/payments`, { method: 'DELETE', token: narrow })).status, 403)
    assert.equal((await call(`${path}/payments`, { method: 'DELETE', token: wide })).status, 200)
  })

  test('a token that is revoked holds no more: neither for requests nor for a watch that is open', async () => {
    const { token } = await asAdmin.createUser({ name: 'gone', roles: ['viewer'] })
    const watch = await fetch(`${mesh.url}/api/v1/namespaces/shop/services?watch=1`, { headers: { authorization: `Bearer ${token}` } })
    assert.equal(watch.status, 200)
    const ended = watch.text()
    await asAdmin.revokeUser('gone')
    await ended
    const after = await call('/api', { token })
    assert.equal(after.status, 401)
    assert.match(statusIn(after).message, /not known here, has expired or was revoked/)
    await assert.rejects(asAdmin.revokeUser('gone'), /there is no user "gone"/)
  })

  test('a token ends with its time, and a watch that is open with it', async () => {
    const { token } = await asAdmin.createUser({ name: 'short', roles: ['viewer'], ttlSeconds: 1.5 })
    const watch = await fetch(`${mesh.url}/api/v1/namespaces/shop/services?watch=1`, { headers: { authorization: `Bearer ${token}` } })
    assert.equal(watch.status, 200)
    await watch.text()
    await mesh.until('the token is refused', async () => (await call('/api', { token })).status === 401)
    // The name is free again.
    assert.ok((await asAdmin.createUser({ name: 'short', roles: ['viewer'] })).token)
  })

  test('of a token only its hash is kept, and it is told once', async () => {
    const { token, user }: UserReply = await asAdmin.createUser({ name: 'once', roles: ['viewer'] })
    assert.deepEqual(user.roles, ['viewer'])
    const kept = ['users.db', 'users.db-wal', 'weft.db', 'weft.db-wal'].map(name => {
      try {
        return readFileSync(join(mesh.folder, 'control', name), 'latin1')
      } catch {
        return ''
      }
    })
    assert.ok(kept.join('').includes('once'))
    assert.ok(!kept.join('').includes(token.slice(5)))
    assert.ok(!JSON.stringify(await asAdmin.users()).includes(token))
    await assert.rejects(asAdmin.createUser({ name: 'once', roles: ['viewer'] }), /there is a user "once"/)
    await assert.rejects(asAdmin.createUser({ name: 'x', roles: ['owner'] }), /must be one of viewer, editor, admin/)
  })

  test('weft: users are made, listed and revoked; commands take tokens from flags, files and the environment', async () => {
    const file = join(mesh.folder, 'control', 'admin.token')
    const made = await mesh.weft('user', 'create', 'cli', '--role', 'viewer', '--role', 'editor:shop', '--ttl', '1h', '--token-file', file)
    assert.equal(made.code, 0, made.stderr)
    const token = made.stdout.trim()
    const whoami = await mesh.weft('user', 'whoami', '--token', token)
    assert.match(whoami.stdout, /^cli by token: viewer and editor:shop, for /)
    const listed = await mesh.weft('user', 'list', '--token-file', file)
    assert.match(listed.stdout, /^cli +viewer editor:shop .*in 59m|^cli +viewer editor:shop .*in 1h/m)
    const tokenFile = join(mesh.folder, 'home', 'cli.token')
    writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 })
    const set = await mesh.weft('context', 'set', 'here', '--control', mesh.url, '--token-file', tokenFile)
    assert.equal(set.code, 0, set.stderr)
    const get = await mesh.weft('get', 'configmaps', '-n', 'shop', '--token-file', tokenFile)
    assert.equal(get.code, 0, get.stderr)
    const denied = await mesh.weft('user', 'list', '--token-file', tokenFile)
    assert.equal(denied.code, 1)
    assert.match(denied.stderr, /user "cli" may not list users in the whole mesh: that needs the role admin/)
    const unknown = await mesh.weft('get', 'configmaps')
    assert.equal(unknown.code, 1)
    assert.match(unknown.stderr, /requires login.*WEFT_TOKEN_FILE/)
    const revoked = await mesh.weft('user', 'revoke', 'cli', '--token-file', file)
    assert.equal(revoked.code, 0, revoked.stderr)
    assert.equal((await mesh.weft('get', 'configmaps', '--token', token)).code, 1)
  })

  test('a request without the right is in the record, with who, how and from where; again and again is once', async () => {
    const token = await tokenOf('curious', 'viewer:shop')
    for (let n = 0; n < 5; n++) await call('/api/v1/namespaces/bank/secrets/keys', { token, headers: { 'user-agent': 'curious/1' } })
    const { items } = await asAdmin.audit({ who: 'curious' })
    assert.deepEqual(
      items.map(({ action, kind, namespace, name, how, address, agent }) => ({ action, kind, namespace, name, how, address, agent })),
      [{ action: 'refused get', kind: 'Secret', namespace: 'bank', name: 'keys', how: 'token', address: '127.0.0.1', agent: 'curious/1' }],
    )
    const { items: changes } = await asAdmin.audit({ who: 'shop-editor', kind: 'ConfigMap', name: 'colours' })
    assert.deepEqual(
      changes.map(({ action, how }) => ({ action, how })),
      [{ action: 'created', how: 'token' }],
    )
    assert.ok(
      (await asAdmin.audit({ kind: 'User' })).items.some(({ action, who }) => action === 'created with viewer:shop' && who === 'admin'),
    )
  })

  test('what a Secret holds is for admins: not in what others read, watch, patch or find in the record', async () => {
    const [plain, encoded] = ['a-planted-secret', Buffer.from('a-planted-secret').toString('base64')]
    const body = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'keys', namespace: 'shop' },
      data: { password: encoded },
    })
    const annotated = JSON.stringify({
      metadata: { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': body } },
    })
    const path = '/api/v1/namespaces/shop/secrets'
    assert.equal((await call(path, { method: 'POST', token: admin, body })).status, 201)
    const merge = { 'content-type': 'application/merge-patch+json' }
    assert.equal((await call(`${path}/keys`, { method: 'PATCH', token: admin, headers: merge, body: annotated })).status, 200)
    const editor = await tokenOf('editor', 'editor')
    const viewer = await tokenOf('viewer', 'viewer')
    const told: string[] = []
    for (const token of [viewer, editor])
      for (const [where, accept] of [
        [`${path}/keys`, 'application/json'],
        [path, 'application/json'],
        ['/api/v1/secrets', 'application/json'],
        [`${path}?includeObject=Object`, 'application/json;as=Table;v=v1;g=meta.k8s.io'],
        [`${path}?watch=1&timeoutSeconds=1`, 'application/json'],
        [`${path}?watch=1&timeoutSeconds=1&includeObject=Object`, 'application/json;as=Table;v=v1;g=meta.k8s.io'],
        [`${path}/keys`, 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io'],
      ] as const) {
        const answer = await call(where, { token, headers: { accept } })
        assert.equal(answer.status, 200, `${where}: ${answer.text}`)
        told.push(answer.text)
      }
    const patch = (type: string, document: unknown) =>
      call(`${path}/keys`, { method: 'PATCH', token: editor, headers: { 'content-type': type }, body: JSON.stringify(document) })
    const labelled = await patch('application/merge-patch+json', { metadata: { labels: { a: 'b' } } })
    assert.equal(labelled.status, 200, labelled.text)
    const copied = await patch('application/json-patch+json', [{ op: 'copy', from: '/data/password', path: '/metadata/labels/x' }])
    assert.equal(copied.status, 403)
    const guessed = await patch('application/json-patch+json', [{ op: 'test', path: '/data/password', value: encoded }])
    assert.equal(guessed.status, 403)
    const back = await call(`${path}/keys`, { token: editor })
    const overwritten = await call(`${path}/keys`, { method: 'PUT', token: editor, body: back.text })
    assert.equal(overwritten.status, 422)
    assert.match(statusIn(overwritten).message, /data\.password: is only the placeholder/)
    told.push(labelled.text, copied.text, guessed.text, back.text, overwritten.text, (await call('/weft/v1/audit', { token: admin })).text)
    const rights = JSON.parse((await call('/weft/v1/rights', { token: admin })).text) as RouteRight[]
    for (const { route } of rights)
      if (route.startsWith('GET /weft/')) told.push((await call(route.slice(4).replace(/:\w+/, 'x.shop'), { token: admin })).text)
    told.push(mesh.control.stdout, mesh.control.stderr)
    for (const word of [plain, encoded, Buffer.from(body).toString('base64').slice(0, 30)])
      assert.deepEqual(
        told.filter(text => text.includes(word)),
        [],
      )
    // Nor are tokens in what the process printed.
    for (const token of [admin, ...tokens.values()]) assert.ok(!`${mesh.control.stdout}${mesh.control.stderr}`.includes(token))
    const mine = JSON.parse((await call(`${path}/keys`, { token: admin })).text) as { data: Record<string, string> }
    assert.equal(mine.data['password'], encoded)
  })

  test('a guess of what a Secret holds cannot be tried without a trace', async () => {
    const path = '/api/v1/namespaces/shop/secrets'
    const encoded = Buffer.from('a-value-to-guess').toString('base64')
    const secret = (data: object) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'guessed', namespace: 'shop' }, data })
    assert.equal((await call(path, { method: 'POST', token: admin, body: JSON.stringify(secret({ a: encoded })) })).status, 201)
    const editor = await tokenOf('editor', 'editor')
    const write = (token: string, method: string, type: string, document: unknown, query = 'dryRun=All&fieldManager=me') =>
      call(`${path}/guessed?${query}`, { method, token, headers: { 'content-type': type }, body: JSON.stringify(document) })
    const annotated = { metadata: { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' } } }
    for (const value of [encoded, Buffer.from('wrong').toString('base64')])
      for (const [method, type, document] of [
        ['PATCH', 'application/merge-patch+json', { data: { a: value } }],
        ['PATCH', 'application/merge-patch+json', annotated],
        ['PATCH', 'application/strategic-merge-patch+json', { data: { a: value } }],
        ['PATCH', 'application/strategic-merge-patch+json', { stringData: { a: 'x' } }],
        ['PATCH', 'application/json-patch+json', [{ op: 'replace', path: '/data/a', value }]],
        ['PATCH', 'application/json-patch+json', [{ op: 'replace', path: '', value: secret({ a: value }) }]],
        ['PATCH', 'application/apply-patch+yaml', secret({ a: value })],
        ['PUT', 'application/json', secret({ a: value })],
      ] as const) {
        const answer = await write(editor, method, type, document)
        assert.equal(answer.status, 403, `${method} ${type}: ${answer.text}`)
        assert.match(statusIn(answer).message, /dry run that writes what a Secret holds needs the role admin/)
        assert.equal((await write(admin, method, type, document, 'dryRun=All&fieldManager=me&force=true')).status === 403, false)
      }
    const label = await write(editor, 'PATCH', 'application/merge-patch+json', { metadata: { labels: { a: 'b' } } })
    assert.equal(label.status, 200, label.text)
    const conflicting = await write(editor, 'PATCH', 'application/apply-patch+yaml', secret({ a: 'eA==' }), 'fieldManager=me')
    assert.equal(conflicting.status, 409, conflicting.text)
    const { items } = await asAdmin.audit({ who: 'editor', name: 'guessed' })
    assert.deepEqual(
      items.map(({ action, kind }) => ({ action, kind })),
      [{ action: 'refused apply', kind: 'Secret' }],
    )
  })

  test('the record of a Secret that kubectl applied holds no value, made or deleted', async () => {
    const path = '/api/v1/namespaces/shop/secrets'
    const encoded = Buffer.from('a-value-for-the-record').toString('base64')
    const plain = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'applied', namespace: 'shop' }, data: { a: encoded } }
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(plain) }
    const body = JSON.stringify({ ...plain, metadata: { ...plain.metadata, annotations } })
    assert.equal((await call(path, { method: 'POST', token: admin, body })).status, 201)
    assert.equal((await call(`${path}/applied`, { method: 'DELETE', token: admin })).status, 200)
    const { items } = await asAdmin.audit({ name: 'applied' })
    assert.deepEqual(
      items.map(({ action }) => action),
      ['deleted', 'created'],
    )
    assert.ok(!JSON.stringify(items).includes(encoded), JSON.stringify(items))
  })

  test('an editor of a namespace cannot say that a workload is somebody of another', async () => {
    const token = await tokenOf('shop-editor', 'editor:shop')
    const path = '/apis/weft.dev/v1alpha1/namespaces/shop/workloads'
    const workload = (name: string, identity: string) =>
      JSON.stringify({ apiVersion: 'weft.dev/v1alpha1', kind: 'Workload', metadata: { name }, spec: { service: 'vault', identity } })
    const post = (by: string, name: string, identity: string) => call(path, { method: 'POST', token: by, body: workload(name, identity) })
    for (const identity of ['spiffe://weft.local/ns/bank/sa/vault', 'spiffe://other.mesh/ns/shop/sa/vault', 'spiffe://weft.local/vault']) {
      const refused = await post(token, 'theirs', identity)
      assert.equal(refused.status, 422, refused.text)
      assert.match(statusIn(refused).message, /spec\.identity: .* is no identity of namespace "shop" of this mesh/)
    }
    assert.equal((await post(token, 'own', 'spiffe://weft.local/ns/shop/sa/vault')).status, 201)
    const patched = await call(`${path}/own`, {
      method: 'PATCH',
      token,
      headers: { 'content-type': 'application/merge-patch+json' },
      body: JSON.stringify({ spec: { identity: 'spiffe://weft.local/ns/bank/sa/vault' } }),
    })
    assert.equal(patched.status, 422, patched.text)
    assert.equal((await post(admin, 'by-admin', 'spiffe://weft.local/ns/bank/sa/vault')).status, 201)
    for (const name of ['own', 'by-admin']) await call(`${path}/${name}`, { method: 'DELETE', token: admin })
  })

  test('of another host, of another origin, and what is no HTTP: each is refused by a Status', async () => {
    const { host } = new URL(mesh.url)
    const rebound = await call('/healthz', { headers: { host: 'evil.example' } })
    assert.equal(rebound.status, 403)
    assert.match(statusIn(rebound).message, /Host header names "evil\.example"/)
    const written = await call('/weft/v1/users', {
      method: 'POST',
      token: admin,
      headers: { host, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
      body: '{}',
    })
    assert.equal(written.status, 403)
    assert.match(statusIn(written).message, /a page of https:\/\/evil\.example tried to write here/)
    const preflight = await call('/api', {
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
    })
    assert.equal(preflight.headers['access-control-allow-origin'], undefined)
    const said = await raw(host, 'this is no HTTP\r\n\r\n')
    assert.match(said, /^HTTP\/1\.1 400 [^]*"kind":"Status"[^]*what came is no HTTP request/)
    const large = await raw(host, `GET / HTTP/1.1\r\nHost: ${host}\r\nx: ${'x'.repeat(40_000)}\r\n\r\n`)
    assert.match(large, /^HTTP\/1\.1 431 [^]*"reason":"RequestHeaderFieldsTooLarge"/)
    const headers = (await call('/')).headers
    assert.match(String(headers['content-security-policy']), /script-src 'self';.*frame-ancestors 'none'/)
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['referrer-policy'], 'no-referrer')
    assert.equal(headers['strict-transport-security'], undefined)
  })

  test('too large, too deep, too many documents, aliases without end: each is refused by a Status before anything is done', async () => {
    const path = '/api/v1/namespaces/shop/configmaps'
    const post = (body: string, type = 'application/yaml') =>
      call(path, {
        method: 'POST',
        token: admin,
        headers: { 'content-type': type, 'content-length': String(Buffer.byteLength(body)) },
        body,
      })
    const large = await post(`{"a": "${'x'.repeat(3 * 1024 * 1024)}"}`, 'application/json')
    assert.equal(large.status, 413)
    assert.equal(statusIn(large).reason, 'RequestEntityTooLarge')
    const entries = JSON.stringify({
      metadata: { name: 'many' },
      data: Object.fromEntries(Array.from({ length: 10_001 }, (_, at) => [at, ''])),
    })
    const values = JSON.stringify({
      metadata: { name: 'many' },
      rest: Array.from({ length: 1000 }, () => Array.from({ length: 101 }, () => 1)),
    })
    for (const [body, says] of [
      [entries, /one list or mapping has 10001 entries, and at most 10000 are taken/],
      [values, /it has more than 100000 values/],
    ] as const) {
      const many = await post(body, 'application/json')
      assert.equal(many.status, 413)
      assert.match(statusIn(many).message, says)
    }
    const deep = await post(`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`, 'application/json')
    assert.equal(deep.status, 400)
    assert.match(statusIn(deep).message, /nested deeper than/)
    const bracketed = await post('['.repeat(1_000_000), 'application/json')
    assert.equal(bracketed.status, 400)
    const flow = await post(`a: ${'['.repeat(100_000)}`)
    assert.equal(flow.status, 400, flow.text.slice(0, 300))
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghi'].map((name, at) => `${name}: &${name} [${`*${'abcdefgh'[at]},`.repeat(9)}]\n`).join('')}`
    const exploded = await post(bomb)
    assert.equal(exploded.status, 400)
    assert.match(statusIn(exploded).message, /alias/i)
    const several = await post('a: 1\n---\nb: 2\n')
    assert.equal(several.status, 400)
    assert.match(statusIn(several).message, /multiple documents/i)
  })

  test('a review is JSON and small: a viewer cannot keep the control plane busy with one', async () => {
    const token = await tokenOf('viewer', 'viewer')
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
    const post = (body: string, type: string) =>
      call(path, { method: 'POST', token, headers: { 'content-type': type, 'content-length': String(Buffer.byteLength(body)) }, body })
    const yaml = await post('spec: {}', 'application/yaml')
    assert.equal(yaml.status, 415, yaml.text)
    const large = await post(JSON.stringify({ spec: { a: 'x'.repeat(100_000) } }), 'application/json')
    assert.equal(large.status, 413, large.text)
    const asked = { spec: { resourceAttributes: { verb: 'get', resource: 'services', namespace: 'shop' } } }
    assert.equal((await post(JSON.stringify(asked), 'application/json')).status, 201)
  })

  test('logins that fail are recorded, and too many of them are refused', async () => {
    const login = () => call('/weft/v1/login', { method: 'POST', body: JSON.stringify({ token: `weft_${'x'.repeat(43)}` }) })
    const answers = []
    for (let n = 0; n < 40; n++) answers.push(await login())
    assert.equal(answers[0]!.status, 401)
    const limited = answers.find(({ status }) => status === 429)
    assert.ok(limited, answers.map(({ status }) => status).join(' '))
    assert.match(statusIn(limited).message, /too many logins that failed from this address/)
    assert.ok(Number(limited.headers['retry-after']) >= 1)
    const { items } = await asAdmin.audit({ kind: 'Session' })
    assert.ok(items.filter(({ action, address }) => action === 'refused login' && address === '127.0.0.1').length >= 10)
  })

  const curl = installed('curl')
  test('curl: a token in the header, and a challenge without', { skip: 'missing' in curl ? curl.missing : false }, async () => {
    const run = (...args: string[]) =>
      mesh.spawn(['path' in curl ? curl.path : '', '-s', '-o', '/dev/null', '-w', '%{http_code}', ...args]).exited
    assert.equal((await run(`${mesh.url}/weft/v1/status`)).stdout, '401')
    assert.equal((await run('--oauth2-bearer', admin, `${mesh.url}/weft/v1/status`)).stdout, '200')
  })

  test('weft run joins with the token of a user who may make join tokens, and says why it cannot with another', async () => {
    const may = await tokenOf('deployer', 'admin:shop')
    const may2 = await tokenOf('viewer', 'viewer')
    const flags = ['--namespace', 'shop', '--capture', 'proxy']
    const done = await mesh.job('batch', ['true'], { flags, env: { WEFT_TOKEN: may } })
    assert.equal(done.code, 0, done.stderr)
    const refused = await mesh.job('nightly', ['true'], { flags, env: { WEFT_TOKEN: may2 } })
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /may not make join tokens in namespace "shop": that needs the role admin:shop/)
  })
})

/** What a server says to bytes, until it closes. */
function raw(host: string, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const [name, port] = host.split(':')
    const socket = net.connect(Number(port), name, () => socket.write(bytes))
    let text = ''
    socket.setEncoding('utf8').on('data', chunk => (text += chunk))
    socket.once('close', () => resolve(text)).once('error', reject)
  })
}
