import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { after, test } from 'node:test'
import { inboundSide, materials, outboundSide, remote, forwardTo, table } from '../../../test/harness/pair.ts'
import { type Handler, type Workload, workload } from '../../../test/harness/versions.ts'
import type { Authorizer } from '#model/authorizer'
import type { Listener } from '#model/listener'

const ends: (() => PromiseLike<unknown>)[] = []
after(async () => {
  for (const end of ends.reverse()) await end()
})

/** A caller's proxy that asks `authorizers` before it calls the app, and the two services that may be asked, behind proxies of their own. */
async function mesh(decide: Handler, authorizers: readonly Partial<Authorizer>[], certificate = 'opa') {
  const certificates = await materials('web', 'shop', 'opa', 'impostor')
  const arrived: string[] = []
  const app = await server(async (ask, reply) => {
    const body = (await ask.toArray()).join('')
    arrived.push(`${ask.method} ${ask.url} ${body}`)
    reply.end('app')
  })
  const provider = await server(decide)
  const inside = await inboundSide('web', app.port, 'http', certificates['web']!)
  const asked = await inboundSide('opa', provider.port, 'http', certificates[certificate]!)
  ends.push(
    () => inside.core[Symbol.asyncDispose](),
    () => asked.core[Symbol.asyncDispose](),
  )
  const target = remote('web', [inside.port])
  const opa = remote('opa', [asked.port])
  const named = authorizers.map(
    (each, at): Authorizer => ({
      name: `shop/${at}`,
      backend: 'default/opa:80',
      timeoutMs: 3000,
      failsOpen: false,
      ask: { type: 'http', prefix: `/${at}`, headers: [], toBackend: [], toCaller: [] },
      ...each,
    }),
  )
  const listener: Listener = {
    name: 'out',
    direction: 'outbound',
    host: '240.0.0.1',
    port: 80,
    protocol: 'http',
    service: 'web.default',
    routes: 'out',
    authorizers: named,
  }
  const outside = await outboundSide('shop', certificates['shop']!, 'http', {
    listeners: { out: listener },
    routes: { out: table('out', [{ ...forwardTo('default/web:80'), authorize: named.map(({ name }) => name) }]) },
    backends: { ...target.backends, ...opa.backends },
    endpoints: { ...target.endpoints, ...opa.endpoints },
  })
  ends.push(() => outside[Symbol.asyncDispose]())
  return { outside, arrived }
}

async function server(handler: Handler): Promise<Workload> {
  const made = await workload('http1', handler)
  ends.push(() => made[Symbol.asyncDispose]())
  return made
}

async function ask(port: number, path: string, body?: string): Promise<{ readonly status: number; readonly code: string }> {
  const request = http.request({
    host: '127.0.0.1',
    port,
    path,
    method: body === undefined ? 'GET' : 'POST',
    agent: false,
    headers: { host: 'web' },
  })
  request.end(body)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  await response.toArray()
  return { status: response.statusCode ?? 0, code: String(response.headers['x-weft-error'] ?? '') }
}

const yes: Handler = (_, reply) => void reply.end()

test('a service that proves the identity it should is believed, and one that proves another is no answer', async () => {
  const good = await mesh(yes, [{}])
  assert.deepEqual(await ask(good.outside.port, '/a'), { status: 200, code: '' })
  let asked = 0
  const bad = await mesh(
    (_, reply) => {
      asked++
      reply.end()
    },
    [{}],
    'impostor',
  )
  assert.deepEqual(await ask(bad.outside.port, '/a'), { status: 503, code: 'external-authorization-unavailable' })
  assert.deepEqual([asked, bad.arrived], [0, []])
})

test('several are asked one after another, and after a no nobody more', async () => {
  const asked: string[] = []
  const { outside, arrived } = await mesh(
    (question, reply) => {
      asked.push(question.url ?? '')
      reply.writeHead(question.url === '/0/no' ? 401 : 200).end()
    },
    [{}, {}],
  )
  assert.equal((await ask(outside.port, '/yes')).status, 200)
  assert.deepEqual(await ask(outside.port, '/no'), { status: 401, code: 'external-authorization-denied' })
  assert.deepEqual([asked, arrived], [['/0/yes', '/1/yes', '/0/no'], ['GET /yes ']])
})

test('who is asked for by name but not known yet lets nothing on', async () => {
  const { outside, arrived } = await mesh(yes, [{}])
  outside.swap({ routes: { out: table('out', [{ ...forwardTo('default/web:80'), authorize: ['shop/other'] }]) } })
  assert.deepEqual(await ask(outside.port, '/a'), { status: 503, code: 'external-authorization-unavailable' })
  assert.deepEqual(arrived, [])
})

test('a caller that is gone before the answer is not served any more', async () => {
  const held = Promise.withResolvers<() => void>()
  const { outside, arrived } = await mesh(
    (question, reply) => (question.url === '/0/b' ? reply.end() : held.resolve(() => reply.end())),
    [{}],
  )
  const request = http.request({ host: '127.0.0.1', port: outside.port, path: '/a', agent: false })
  const gone = new Promise(resolve => request.on('error', resolve))
  request.end()
  const answer = await held.promise
  request.socket!.resetAndDestroy()
  await gone
  await new Promise(resolve => setTimeout(resolve, 50))
  answer()
  assert.equal((await ask(outside.port, '/b')).status, 200)
  assert.deepEqual(arrived, ['GET /b '])
})

test('a body is waited for in its pieces, shown up to the limit, and sent on whole', async () => {
  const shown: string[] = []
  const { outside, arrived } = await mesh(
    async (question, reply) => {
      shown.push((await question.toArray()).join(''))
      reply.end()
    },
    [{ body: { maxBytes: 6, isCut: true } }],
  )
  const headers = { expect: '100-continue', 'content-length': '10' }
  const request = http.request({ host: '127.0.0.1', port: outside.port, path: '/a', method: 'POST', agent: false, headers })
  request.flushHeaders()
  await once(request, 'continue')
  request.write('abc')
  await new Promise(resolve => setTimeout(resolve, 30))
  assert.deepEqual(shown, [])
  request.write('defg')
  const [response] = await Promise.all([
    once(request, 'response') as Promise<[http.IncomingMessage]>,
    new Promise<void>(resolve => request.end('hij', resolve)),
  ])
  assert.equal(response[0].statusCode, 200)
  assert.deepEqual([shown, arrived], [['abcdef'], ['POST /a abcdefghij']])
})
