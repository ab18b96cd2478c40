import { test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { connect, type ApiError, type Client, type WatchEvent } from '#api/client'
import { createOperatorApi, json, Refusal } from '#control/api'
import { openStore } from '#control/store'
import { serveHttp } from '#io/http-server'
import { kindByName } from '#resources/registry'
import type { Resource } from '#resources/kind'

const services = kindByName('services')!
const namespaces = kindByName('namespaces')!
const service = (name: string, port: number): Resource => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { ports: [{ name: 'http', port }] },
})

async function start(t: TestContext): Promise<{ client: Client; stop(): Promise<void> }> {
  const store = openStore({ path: ':memory:' })
  const { handler, refuse } = createOperatorApi({
    store,
    version: '0.1.0',
    extra: [
      {
        method: 'GET',
        path: '/weft/v1/convergence',
        handle: request => json(200, { revision: Number(request.query.get('revision')), total: 0, active: 0, pending: [], rejected: [] }),
      },
      {
        method: 'GET',
        path: '/weft/v1/proxies/:id/config',
        handle: (_, { id }) => {
          throw new Refusal(404, 'NotFound', `no proxy ${id} is known`)
        },
      },
    ],
  })
  const server = await serveHttp({ host: '127.0.0.1', port: 0, handler, refuse })
  t.after(() => server.close())
  return { client: connect(`http://127.0.0.1:${server.port}/`), stop: server.close }
}

test('apply tells created, unchanged and configured, and what it made can be read, listed and deleted', async t => {
  const { client } = await start(t)
  assert.equal((await client.apply(services, service('cart', 80))).outcome, 'created')
  assert.equal((await client.apply(services, service('cart', 80))).outcome, 'unchanged')
  assert.equal((await client.apply(services, service('cart', 81), { dryRun: true })).outcome, 'configured')
  assert.equal((await client.apply(services, service('cart', 81))).outcome, 'configured')
  assert.deepEqual((await client.get(services, 'cart')).spec, { ports: [{ name: 'http', port: 81, protocol: 'TCP' }], type: 'ClusterIP' })
  assert.equal((await client.list(services, { all: true })).items.length, 1)
  assert.deepEqual(
    (await client.table(services)).rows.map(row => row.cells[0]),
    ['cart'],
  )
  await client.delete(services, 'cart')
  assert.equal(await client.find(services, 'cart'), undefined)
})

test('a watch tells what is there and then what changes, until its reader leaves', async t => {
  const { client } = await start(t)
  await client.create(services, service('a', 80))
  const seen: string[] = []
  const leave = new AbortController()
  const watching = (async () => {
    for await (const { type, object } of client.watch(services, { signal: leave.signal }) as AsyncIterable<WatchEvent>) {
      seen.push(`${type} ${object.metadata.name}`)
      if (seen.length === 1) await client.patch(services, 'a', { metadata: { labels: { x: 'y' } } })
      if (seen.length === 2) await client.delete(services, 'a')
      if (seen.length === 3) break
    }
  })()
  await watching
  assert.deepEqual(seen, ['ADDED a', 'MODIFIED a', 'DELETED a'])
})

test('a refusal carries the message and the fields of the Status', async t => {
  const { client } = await start(t)
  await assert.rejects(
    client.create(services, service('bad', 99_999)),
    (error: ApiError) => error.code === 422 && error.causes[0]?.field === 'spec.ports[0].port',
  )
  await assert.rejects(
    client.create(services, { ...service('bad', 80), spek: 1 }),
    (error: ApiError) => error.code === 400 && /unknown field "spek".*did you mean "spec"/.test(error.message),
  )
  await assert.rejects(client.get(services, 'none'), { code: 404, message: 'services "none" not found' })
  await assert.rejects(client.delete(namespaces, 'default'), { code: 403 })
  await client.apply(services, service('cart', 80), { fieldManager: 'alice' })
  const other = { ...service('cart', 80), spec: { ports: [{ name: 'web', port: 80 }] } }
  await assert.rejects(client.apply(services, other, { fieldManager: 'bob' }), {
    code: 409,
    message: 'Apply failed with 1 conflict: conflict with "alice": .spec.ports[port=80,protocol="TCP"].name',
  })
  assert.equal((await client.apply(services, other, { fieldManager: 'bob', force: true })).outcome, 'configured')
})

test('calls of the mesh go to the routes under /weft/v1, and their refusals are the same', async t => {
  const { client } = await start(t)
  assert.equal((await client.convergence(7)).revision, 7)
  await assert.rejects(client.proxyConfig('a.b'), { code: 404, message: 'no proxy a.b is known' })
})

test('a control plane that is not there is told with its address and what to do', async t => {
  const { client, stop } = await start(t)
  await stop()
  await assert.rejects(client.status(), {
    message: `cannot reach the control plane at ${client.url.slice(0, -1)} (connection refused): is \`weft control\` running?`,
  })
})

test('something else that listens there is told as such', async t => {
  const server = await serveHttp({ host: '127.0.0.1', port: 0, handler: () => ({ status: 200, body: '<html>' }) })
  t.after(() => server.close())
  await assert.rejects(connect(`http://127.0.0.1:${server.port}`).status(), /what came is not its answer/)
})
