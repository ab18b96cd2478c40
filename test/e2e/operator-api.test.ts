/** What clients other than kubectl ask of the operator API, over real sockets. */

import { test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { createOperatorApi, type OperatorApiOptions } from '#control/api'
import { openStore, type Store, type StoreOptions } from '#control/store'
import { serveHttp } from '#io/http-server'

type Json = { readonly [key: string]: unknown }
type Reply = { readonly status: number; readonly body: Json; readonly headers: Headers }
type Ask = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Reply>

async function start(
  t: TestContext,
  options: Partial<OperatorApiOptions> = {},
  storeOptions: Partial<StoreOptions> = {},
): Promise<{ ask: Ask; store: Store; url: string }> {
  const store = openStore({ path: ':memory:', ...storeOptions })
  const { handler, refuse } = createOperatorApi({ store, version: '0.1.0', ...options })
  const server = await serveHttp({ host: '127.0.0.1', port: 0, handler, refuse })
  t.after(() => server.close())
  const url = `http://127.0.0.1:${server.port}`
  const ask: Ask = async (method, path, body, headers = {}) => {
    const text = body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body)
    const reply = await fetch(url + path, { method, body: text, headers: { 'content-type': 'application/json', ...headers } })
    const received = await reply.text()
    return {
      status: reply.status,
      headers: reply.headers,
      body: received.startsWith('{') ? (JSON.parse(received) as Json) : { text: received },
    }
  }
  return { ask, store, url }
}

const services = '/api/v1/namespaces/default/services'
const service = (name: string, port = 80): Json => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { ports: [{ name: 'http', port }] },
})
const versionOf = (reply: Reply): string => (reply.body['metadata'] as { resourceVersion: string }).resourceVersion

/** The first `count` events of a watch. */
async function events(
  url: string,
  count: number,
  whileWatching: () => Promise<unknown> = async () => {},
): Promise<{ type: string; object: Json & { metadata: Json } }[]> {
  const leave = new AbortController()
  const reply = await fetch(url, { signal: leave.signal })
  assert.equal(reply.status, 200)
  const doing = whileWatching()
  let text = ''
  const decoder = new TextDecoder()
  for await (const part of reply.body!) {
    text += decoder.decode(part, { stream: true })
    if (text.split('\n').length > count) break
  }
  await doing
  leave.abort()
  return text
    .trim()
    .split('\n')
    .slice(0, count)
    .map(line => JSON.parse(line))
}

test('plain discovery, for clients that know no other', async t => {
  const { ask } = await start(t)
  assert.deepEqual((await ask('GET', '/api')).body['versions'], ['v1'])
  const { body } = await ask('GET', '/apis/gateway.networking.k8s.io/v1')
  const route = (body['resources'] as Json[]).find(({ name }) => name === 'httproutes')
  assert.deepEqual(route, {
    name: 'httproutes',
    singularName: 'httproute',
    namespaced: true,
    kind: 'HTTPRoute',
    verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
    categories: (route as Json)['categories'],
  })
  assert.ok((body['resources'] as Json[]).some(({ name }) => name === 'httproutes/status'))
  assert.deepEqual((await ask('GET', '/apis/weft.dev')).body['preferredVersion'], {
    groupVersion: 'weft.dev/v1alpha1',
    version: 'v1alpha1',
  })
  assert.equal((await ask('GET', '/apis/nobody.example')).status, 404)
  assert.equal((await ask('GET', '/apis/gateway.networking.k8s.io/v9')).status, 404)
})

test('OpenAPI comes as JSON, as protobuf, or not at all, as the client accepts', async t => {
  const { ask, url } = await start(t)
  const v2 = await ask('GET', '/openapi/v2', undefined, { accept: 'application/json' })
  assert.equal(v2.body['swagger'], '2.0')
  const proto = await fetch(`${url}/openapi/v2`, { headers: { accept: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf' } })
  assert.equal(proto.headers.get('content-type'), 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf')
  assert.equal((await proto.bytes())[0], 0x0a)
  assert.equal((await ask('GET', '/openapi/v2', undefined, { accept: 'text/html' })).status, 406)
  const { serverRelativeURL } = ((await ask('GET', '/openapi/v3')).body['paths'] as Record<string, { serverRelativeURL: string }>)[
    'apis/gateway.networking.k8s.io/v1'
  ]!
  assert.equal((await ask('GET', serverRelativeURL)).body['openapi'], '3.0.0')
  assert.equal((await ask('GET', '/openapi/v3/apis/nobody/v1')).status, 404)
})

test('a watch goes on from a version, begins with what there is, and tells one that is too old so', async t => {
  const { ask, url } = await start(t, {}, { keepEvents: 10 })
  const made = await ask('POST', services, service('a'))
  const from = versionOf(made)
  await ask('POST', services, service('b'))
  const later = await events(`${url}${services}?watch=1&resourceVersion=${from}`, 2, () => ask('DELETE', `${services}/a`))
  assert.deepEqual(
    later.map(({ type, object }) => `${type} ${String(object.metadata['name'])}`),
    ['ADDED b', 'DELETED a'],
  )
  const whole = await events(
    `${url}${services}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
    2,
  )
  assert.deepEqual(
    whole.map(({ type }) => type),
    ['ADDED', 'BOOKMARK'],
  )
  assert.deepEqual(whole[1]!.object.metadata['annotations'], { 'k8s.io/initial-events-end': 'true' })
  for (let port = 1; port < 30; port++) await ask('PUT', `${services}/b`, service('b', port))
  const [expired] = await events(`${url}${services}?watch=1&resourceVersion=${from}`, 1)
  assert.deepEqual([expired?.type, expired?.object['code'], expired?.object['reason']], ['ERROR', 410, 'Expired'])
  assert.equal((await ask('GET', `${services}?watch=1&sendInitialEvents=true`)).status, 400)
  assert.equal((await ask('GET', `${services}?watch=1&labelSelector=%3D%3D`)).status, 400)
  assert.equal((await ask('GET', `${services}?resourceVersion=99999`)).status, 504)
})

test('a watch ends when its time is over', async t => {
  const { url } = await start(t)
  const reply = await fetch(`${url}${services}?watch=1&timeoutSeconds=1`)
  assert.equal(await reply.text(), '')
})

test('a list can be had as it was at a version', async t => {
  const { ask } = await start(t)
  const then = versionOf(await ask('POST', services, service('a')))
  await ask('DELETE', `${services}/a`)
  const { body } = await ask('GET', `${services}?resourceVersion=${then}&resourceVersionMatch=Exact`)
  assert.deepEqual(
    (body['items'] as { metadata: Json }[]).map(({ metadata }) => metadata['name']),
    ['a'],
  )
  assert.equal(((await ask('GET', services)).body['items'] as unknown[]).length, 0)
})

test('status and the rest are written through different paths', async t => {
  const { ask } = await start(t)
  const condition = { type: 'Ready', status: 'True', reason: 'Tested', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }
  const made = await ask('POST', services, { ...service('a'), status: { conditions: [condition] } })
  assert.equal(made.body['status'], undefined)
  const put = await ask('PUT', `${services}/a/status`, { ...service('a', 99), status: { conditions: [condition] } })
  assert.deepEqual([put.body['spec'], put.body['status']], [made.body['spec'], { conditions: [condition] }])
  const replaced = await ask('PUT', `${services}/a`, service('a', 81))
  assert.deepEqual(replaced.body['status'], { conditions: [condition] })
  assert.equal((await ask('PUT', `${services}/a/status`, { ...service('a'), status: { conditions: 'none' } })).status, 422)
  assert.equal((await ask('DELETE', `${services}/a/status`)).status, 405)
  const applied = await ask(
    'PATCH',
    `${services}/a/status?fieldManager=controller&force=true`,
    { ...service('a', 7), status: { conditions: [{ ...condition, status: 'False' }] } },
    { 'content-type': 'application/apply-patch+yaml' },
  )
  assert.deepEqual(
    [applied.status, (applied.body['status'] as { conditions: Json[] }).conditions[0]!['status'], applied.body['spec']],
    [200, 'False', replaced.body['spec']],
  )
})

test('YAML is read too, and its mistakes are told with their place', async t => {
  const { ask } = await start(t)
  const yaml = { 'content-type': 'application/yaml' }
  assert.equal((await ask('POST', services, 'metadata: {name: a}\nspec:\n  ports: [{port: 80}]\n', yaml)).status, 201)
  const wrong = await ask('POST', services, 'metadata: {name: a\nspec: 1\n', yaml)
  assert.equal(wrong.status, 400)
  assert.match(String(wrong.body['message']), /not valid YAML at line 2/)
  const applied = await ask('PATCH', `${services}/a?fieldManager=me&force=true`, 'spec:\n  ports: [{port: 80, name: web}]\n', {
    'content-type': 'application/apply-patch+yaml',
  })
  assert.equal(applied.status, 200)
})

test('every refusal is a Status that names what is wrong', async t => {
  const { ask } = await start(t)
  await ask('POST', services, service('a'))
  const refusal = async (method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<string> => {
    const reply = await ask(method, path, body, headers)
    assert.deepEqual(
      [reply.body['kind'], reply.body['status'], reply.body['code']],
      ['Status', 'Failure', reply.status],
      JSON.stringify(reply.body),
    )
    return `${reply.status} ${String(reply.body['reason'])}`
  }
  assert.equal(await refusal('GET', '/nowhere'), '404 NotFound')
  assert.equal(await refusal('GET', '/api/v1/pods'), '404 NotFound')
  assert.equal(await refusal('GET', '/api/v1/namespaces/%E0%A4%A'), '400 BadRequest')
  assert.equal(await refusal('POST', services, '{"kind":'), '400 BadRequest')
  assert.equal(await refusal('POST', services, '[]'), '400 BadRequest')
  assert.equal(await refusal('POST', services, '['.repeat(200_000)), '400 BadRequest')
  assert.equal(await refusal('POST', services, `${'['.repeat(5000)}${']'.repeat(5000)}`), '400 BadRequest')
  assert.equal(await refusal('POST', services, { ...service('b'), kind: 'Pod' }), '400 BadRequest')
  assert.equal(await refusal('POST', services, { ...service('b'), metadata: { name: 'b', namespace: 'other' } }), '400 BadRequest')
  assert.equal(await refusal('POST', services, service('Not_A_Name')), '422 Invalid')
  assert.equal(await refusal('POST', services, service('a')), '409 AlreadyExists')
  assert.equal(await refusal('POST', services, 'x'.repeat(3 * 1024 * 1024 + 1)), '413 RequestEntityTooLarge')
  assert.equal(await refusal('POST', services, 'x', { 'content-type': 'image/png' }), '415 UnsupportedMediaType')
  assert.equal(await refusal('POST', `${services}?fieldValidation=Perhaps`, service('b')), '400 BadRequest')
  assert.equal(await refusal('POST', `${services}?dryRun=Some`, service('b')), '400 BadRequest')
  assert.equal(await refusal('PUT', `${services}/none`, service('none')), '404 NotFound')
  assert.equal(await refusal('PUT', `${services}/a`, service('b')), '400 BadRequest')
  assert.equal(await refusal('PATCH', `${services}/a`, '{}', { 'content-type': 'application/json' }), '415 UnsupportedMediaType')
  assert.equal(await refusal('PATCH', `${services}/a`, service('a'), { 'content-type': 'application/apply-patch+yaml' }), '400 BadRequest')
  assert.equal(await refusal('DELETE', `${services}/a`, { preconditions: { uid: 'other' } }), '409 Conflict')
  assert.equal(await refusal('DELETE', `${services}/a`, { preconditions: { resourceVersion: '1' } }), '409 Conflict')
  assert.equal(await refusal('DELETE', `${services}/a?propagationPolicy=Never`), '400 BadRequest')
  assert.equal(await refusal('OPTIONS', services), '405 MethodNotAllowed')
  assert.equal(await refusal('GET', services, undefined, { accept: 'text/html' }), '406 NotAcceptable')
  assert.equal(await refusal('GET', `${services}?limit=many`), '400 BadRequest')
  assert.equal(await refusal('GET', `${services}?continue=nonsense`), '400 BadRequest')
  assert.equal(await refusal('POST', services, service('b'), { origin: 'https://evil.example' }), '403 Forbidden')
})

test('a deletion of a collection takes what matches and nothing else', async t => {
  const { ask } = await start(t)
  for (const [name, app] of [
    ['a', 'x'],
    ['b', 'x'],
    ['c', 'y'],
  ] as const)
    await ask('POST', services, { ...service(name), metadata: { name, labels: { app } } })
  const gone = await ask('DELETE', `${services}?labelSelector=app%3Dx`)
  assert.equal((gone.body['items'] as unknown[]).length, 2)
  const left = (await ask('GET', services)).body['items'] as { metadata: Json }[]
  assert.deepEqual(
    left.map(({ metadata }) => metadata['name']),
    ['c'],
  )
})

test('an object with finalizers is marked, and goes with the last of them', async t => {
  const { ask } = await start(t)
  await ask('POST', services, { ...service('a'), metadata: { name: 'a', finalizers: ['weft.dev/hold'] } })
  const marked = await ask('DELETE', `${services}/a`)
  assert.ok((marked.body['metadata'] as Json)['deletionTimestamp'])
  assert.equal((await ask('GET', `${services}/a`)).status, 200)
  await ask('PATCH', `${services}/a`, { metadata: { finalizers: null } }, { 'content-type': 'application/merge-patch+json' })
  assert.equal((await ask('GET', `${services}/a`)).status, 404)
})

test('many writers of one object: each that is told 200 is in, each other is told 409', async t => {
  const { ask } = await start(t)
  await ask('POST', services, service('a'))
  const add = async (label: string): Promise<boolean> => {
    const { body } = await ask('GET', `${services}/a`)
    const metadata = body['metadata'] as { labels?: Json }
    const reply = await ask('PUT', `${services}/a`, { ...body, metadata: { ...metadata, labels: { ...metadata.labels, [label]: 'in' } } })
    assert.ok(reply.status === 200 || reply.status === 409, String(reply.status))
    return reply.status === 200
  }
  const labels = Array.from({ length: 20 }, (_, at) => `w${at}`)
  const told = await Promise.all(labels.map(add))
  const { labels: found } = (await ask('GET', `${services}/a`)).body['metadata'] as { labels: Json }
  assert.deepEqual(Object.keys(found).toSorted(), labels.filter((_, at) => told[at]).toSorted())
  assert.ok(told.includes(true) && told.includes(false), 'nobody was in anybody’s way: this proved nothing')
})

test('a full disk is told as such, and reading goes on', async t => {
  const { ask } = await start(t, {}, { maxBytes: 100_000 })
  const large = { ...service('large'), metadata: { name: 'large', annotations: { note: 'x'.repeat(200_000) } } }
  const refused = await ask('POST', services, large)
  assert.equal(refused.status, 507)
  assert.match(String(refused.body['message']), /the disk is full: make room/)
  assert.equal((await ask('POST', services, service('small'))).status, 201)
})

test('the control plane’s own rules: what it fills in is stored, what it refuses names the field', async t => {
  const { ask } = await start(t, {
    complete: (resource, old) =>
      resource.kind === 'Service'
        ? {
            ...resource,
            spec: { ...(resource.spec as object), clusterIP: (old?.spec as { clusterIP?: string } | undefined)?.clusterIP ?? '10.0.0.1' },
          }
        : resource,
    admit: resource => (resource.metadata.name === 'no' ? [{ path: 'metadata.name', says: 'is taken by the mesh: choose another' }] : []),
    notReady: () => 'the first snapshot is being compiled',
  })
  const made = await ask('POST', services, service('a'))
  assert.equal((made.body['spec'] as Json)['clusterIP'], '10.0.0.1')
  const refused = await ask('POST', services, service('no'))
  assert.deepEqual((refused.body['details'] as { causes: Json[] }).causes, [
    { reason: 'FieldValueInvalid', message: 'is taken by the mesh: choose another', field: 'metadata.name' },
  ])
  const ready = await ask('GET', '/readyz')
  assert.deepEqual([ready.status, ready.body['text']], [503, 'not ready: the first snapshot is being compiled\n'])
})

test('whatever is sent, the answer is never a 500', async () => {
  const { handler } = createOperatorApi({ store: openStore({ path: ':memory:' }), version: '0' })
  const step = fc.constantFrom(
    'api',
    'apis',
    'v1',
    'namespaces',
    'default',
    'services',
    'status',
    'gateway.networking.k8s.io',
    'httproutes',
    'a',
    '%2e',
    '',
    'openapi',
    'v2',
    'v3',
  )
  const metadata = fc.record(
    {
      name: fc.oneof(fc.constant('a'), fc.jsonValue()),
      labels: fc.jsonValue(),
      managedFields: fc.jsonValue(),
      finalizers: fc.jsonValue(),
      resourceVersion: fc.jsonValue(),
      annotations: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  const document = fc.oneof(
    fc.record(
      {
        apiVersion: fc.constantFrom('v1', 'gateway.networking.k8s.io/v1', 1),
        kind: fc.constantFrom('Service', 'HTTPRoute', null),
        metadata: fc.oneof(metadata, fc.jsonValue()),
        spec: fc.oneof(fc.record({ ports: fc.jsonValue(), rules: fc.jsonValue() }, { requiredKeys: [] }), fc.jsonValue()),
      },
      { requiredKeys: [] },
    ),
    fc.array(
      fc.record({
        op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test'),
        path: fc.constantFrom('/metadata', '/spec/ports/0', '', '/metadata/name', '/x'),
        from: fc.constantFrom('/spec', '/metadata/labels'),
        value: fc.jsonValue(),
      }),
    ),
    fc.jsonValue(),
  )
  const type = fc.constantFrom(
    'application/json',
    'application/yaml',
    'application/json-patch+json',
    'application/merge-patch+json',
    'application/strategic-merge-patch+json',
    'application/apply-patch+yaml',
    'application/vnd.kubernetes.protobuf',
  )
  const query = fc.constantFrom(
    '',
    'fieldManager=x',
    'fieldManager=x&force=true',
    'dryRun=All',
    'labelSelector=a in (b,c',
    'limit=1',
    'fieldValidation=Strict',
    'fieldValidation=Ignore',
  )
  const path = fc.oneof(
    fc.constantFrom(
      `${services}/a`,
      services,
      `${services}/a/status`,
      '/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/a',
    ),
    fc.array(step, { maxLength: 8 }).map(steps => `/${steps.join('/')}`),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE'),
      path,
      query,
      type,
      document,
      async (method, where, asked, contentType, value) => {
        const body = new TextEncoder().encode(JSON.stringify(value))
        const reply = await handler({
          method,
          path: where,
          query: new URLSearchParams(asked),
          headers: { 'content-type': contentType },
          signal: new AbortController().signal,
          address: '127.0.0.1',
          isSecure: false,
          body: async () => body,
        })
        assert.notEqual(reply.status, 500, JSON.stringify(reply.body))
      },
    ),
    { numRuns: 1500 },
  )
})
