import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import http from 'node:http'
import net from 'node:net'
import { describe, test } from 'node:test'
import { forwardTo, inboundSide, materials, outboundSide, remote, table } from '../../test/harness/pair.ts'
import { client, workload } from '../../test/harness/versions.ts'
import type { Access, AccessRule } from '#model/access-rule'
import type { Authorizer } from '#model/authorizer'
import type { Listener } from '#model/listener'
import type { Route } from '#model/route'
import type { TokenPolicy } from '#model/token'
import type { View } from '#model/view'

type Policies = { readonly access?: Access; readonly tokens?: readonly TokenPolicy[]; readonly authorizers?: readonly Authorizer[] }

const to = (methods: readonly string[], path?: string): AccessRule['to'] => [
  [
    { on: 'method', any: methods.map(value => ({ type: 'exact', value })) },
    ...(path === undefined ? [] : [{ on: 'path' as const, any: [{ type: 'exact' as const, value: path }] }]),
  ],
]
const rule = (name: string, asks: AccessRule['to']): AccessRule => ({ name: `shop/${name}#0`, from: [], to: asks })
const noAdmin: Access = { deny: [rule('no-admin', [[{ on: 'path', any: [{ type: 'exact', value: '/admin' }] }]])] }

/** A workload that takes CONNECT and answers whatever comes in the tunnel; `policies` stand at its port, and callers come by a proxy of their own, or by a Gateway. */
async function mesh(policies: Policies, gateway?: readonly Route['match'][]) {
  const heard: string[] = []
  const app = await workload('http1', (ask, reply) => {
    heard.push(`${ask.method} ${ask.url} ${ask.headers.upgrade ?? ''}`.trim())
    reply.end('ok')
  })
  app.server.on('connect', (ask: http.IncomingMessage, socket: net.Socket) => {
    heard.push(`CONNECT ${ask.url}`)
    socket.on('error', () => {})
    socket.on('data', bytes => {
      heard.push(`inside ${String(bytes).split(' HTTP')[0]}`)
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret')
    })
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
  })
  const certificates = await materials('web', 'shop')
  const inside = await inboundSide('web', app.port, 'http', certificates['web']!)
  const impose = ({ access, ...more }: Policies) => {
    const before = inside.core.view
    const [name, listener] = Object.entries(before.listeners)[0]!
    const routes = before.routes[name]!.hosts[0]!.routes.map(route => ({ ...route, ...(access === undefined ? {} : { access }) }))
    inside.core.swap({ ...before, listeners: { [name]: { ...listener, ...more } }, routes: { [name]: table(name, routes) } })
  }
  impose(policies)
  const target = remote('web', [inside.port])
  const outside = await outboundSide('shop', certificates['shop']!, 'http', {
    ...target,
    ...(gateway === undefined ? {} : atGateway(gateway)),
  })
  const door = gateway === undefined ? undefined : await outside.core.open('out', '127.0.0.1', 0)
  return {
    port: door?.port ?? outside.port,
    heard,
    impose,
    async [Symbol.asyncDispose]() {
      door?.stop()
      await outside[Symbol.asyncDispose]()
      await inside.core[Symbol.asyncDispose]()
      await app[Symbol.asyncDispose]()
    },
  }
}

const atGateway = (matches: readonly Route['match'][]): Pick<View, 'listeners' | 'routes'> => {
  const out: Listener = {
    name: 'out',
    direction: 'gateway',
    host: '240.0.0.1',
    port: 80,
    protocol: 'http',
    service: 'edge.default',
    routes: 'out',
  }
  return {
    listeners: { out },
    routes: {
      out: table(
        'out',
        matches.map(match => ({ ...forwardTo('default/web:80'), match })),
      ),
    },
  }
}

/** All that comes on a connection until `end` is in it, or it ends. */
async function talk(port: number, sent: string, end: RegExp): Promise<string> {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(sent)
  let got = ''
  for await (const bytes of socket) {
    got += String(bytes)
    if (end.test(got)) break
  }
  socket.destroy()
  return got
}
const body = /\r\n\r\n[^\r]+$/

/** Status of CONNECT, and what a GET /admin in the tunnel gets. */
async function tunnel1(port: number): Promise<{ status: number; text: string }> {
  const request = http.request({ host: '127.0.0.1', port, method: 'CONNECT', path: 'web:80', headers: { host: 'web:80' }, agent: false })
  request.end()
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
  request.on('error', reject)
  request.on('connect', async (reply, socket) => {
    const status = reply.statusCode!
    if (status !== 200) {
      socket.destroy()
      return resolve({ status, text: String(reply.headers['x-weft-error-detail'] ?? '') })
    }
    socket.write('GET /admin HTTP/1.1\r\nHost: web\r\n\r\n')
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    resolve({ status, text: String(bytes) })
  })
  return await promise
}

async function tunnel2(port: number, protocol?: string): Promise<{ status: number; text: string }> {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  try {
    if (protocol !== undefined) await once(session, 'remoteSettings')
    const stream = session.request({
      ':method': 'CONNECT',
      ':authority': 'web:80',
      ...(protocol === undefined ? {} : { ':protocol': protocol, ':scheme': 'http', ':path': '/' }),
    })
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    const status = Number(headers[':status'])
    if (status !== 200) return { status, text: String(headers['x-weft-error-detail'] ?? '') }
    stream.write('GET /admin HTTP/1.1\r\nHost: web\r\n\r\n')
    const [bytes] = (await once(stream, 'data')) as [Buffer]
    return { status, text: String(bytes) }
  } finally {
    session.destroy()
  }
}

const token: TokenPolicy = { name: 'shop/users', issuers: [], isRequired: false }
const authorizer: Authorizer = {
  name: 'shop/opa',
  backend: 'default/opa:80',
  timeoutMs: 1000,
  failsOpen: false,
  ask: { type: 'http', prefix: '', headers: [], toBackend: [], toCaller: [] },
}

describe('CONNECT', { timeout: 30_000 }, () => {
  for (const [what, policies] of [
    ['a Deny rule of a path', { access: noAdmin }],
    ['an Allow rule of every method', { access: { deny: [], allow: [rule('all', [])] } }],
    ['an Allow rule of other methods', { access: { deny: [], allow: [rule('get', to(['GET']))] } }],
    ['a policy of tokens', { tokens: [token] }],
    ['an authorizer', { authorizers: [authorizer] }],
  ] as const)
    test(`is no way round ${what}, over HTTP/1 nor HTTP/2`, async () => {
      await using web = await mesh(policies)
      for (const { status, text } of [await tunnel1(web.port), await tunnel2(web.port)]) {
        assert.equal(status, 403)
        assert.match(text, /passes by the rules.*names the method CONNECT/)
      }
      assert.deepEqual(web.heard, [])
      using well = client('http1', web.port)
      assert.equal((await well.ask('/')).status, 200)
    })

  test('goes on where an Allow rule names it, and where nothing is judged', async () => {
    for (const policies of [
      {},
      { access: { ...noAdmin, allow: [rule('any', to(['GET', 'CONNECT']))] }, tokens: [token] },
      {
        access: {
          deny: [{ name: 'Revocation/x#0', from: [[{ on: 'identity' as const, any: [{ type: 'exact' as const, value: 'x' }] }]], to: [] }],
        },
      },
    ]) {
      await using web = await mesh(policies)
      for (const { text } of [await tunnel1(web.port), await tunnel2(web.port)]) assert.match(text, /secret/)
      assert.deepEqual(web.heard, ['CONNECT web:80', 'inside GET /admin', 'CONNECT web:80', 'inside GET /admin'])
    }
  })

  test('is denied by a Deny rule also where an Allow rule names it', async () => {
    await using web = await mesh({ access: { deny: [rule('none', to(['CONNECT']))], allow: [rule('any', to(['CONNECT']))] } })
    assert.equal((await tunnel1(web.port)).status, 403)
    assert.deepEqual(web.heard, [])
  })

  test('that is under way ends when a policy comes that judges requests', async () => {
    await using web = await mesh({})
    const socket = net.connect(web.port, '127.0.0.1')
    socket.on('error', () => {})
    const closed = new Promise(done => socket.once('close', done))
    socket.write('CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n')
    assert.match(String((await once(socket, 'data'))[0]), / 200 /)
    socket.resume()
    web.impose({ tokens: [token] })
    await closed
  })

  test('passes a Gateway by a route that names it only', async () => {
    await using shut = await mesh({}, [{}, { method: 'GET' }])
    for (const { status, text } of [await tunnel1(shut.port), await tunnel2(shut.port)]) {
      assert.equal(status, 405)
      assert.match(text, /names method: CONNECT/)
    }
    assert.deepEqual(shut.heard, [])
    await using open = await mesh({}, [{}, { method: 'CONNECT' }])
    for (const { text } of [await tunnel1(open.port), await tunnel2(open.port)]) assert.match(text, /secret/)
  })

  test('whose Host is another than its target is answered 421', async () => {
    await using web = await mesh({})
    assert.match(await talk(web.port, 'CONNECT db:5432 HTTP/1.1\r\nHost: allowed:5432\r\n\r\n', body), /^HTTP\/1\.1 421 /)
    assert.match(await talk(web.port, 'CONNECT db:5432 HTTP/1.1\r\nHost: db:80\r\n\r\n', body), /^HTTP\/1\.1 421 /)
    assert.deepEqual(web.heard, [])
  })

  test('is judged by the host of its target, with a Host and without one', async () => {
    const only: AccessRule = rule('db', [[...to(['CONNECT'])[0]!, { on: 'host', any: [{ type: 'exact', value: 'db' }] }]])
    await using web = await mesh({ access: { deny: [], allow: [only] } })
    const ask = (line: string) => talk(web.port, `${line}\r\n\r\n`, /\r\n\r\n/)
    assert.match(await ask('CONNECT db:5432 HTTP/1.1\r\nHost: DB'), /^HTTP\/1\.1 200 /)
    assert.match(await ask('CONNECT other:5432 HTTP/1.1\r\nHost: other:5432'), /^HTTP\/1\.1 403 /)
    assert.match(await ask('CONNECT other:5432 HTTP/1.0'), /^HTTP\/1\.[01] 403 /)
  })
})

describe('an upgrade to HTTP or TLS', { timeout: 30_000 }, () => {
  for (const protocol of ['h2c', 'H2C', 'h2c/1.0', 'HTTP/2.0', 'TLS/1.0'])
    test(`${protocol} is passed over in HTTP/1 and refused in HTTP/2`, async () => {
      await using web = await mesh({ access: noAdmin })
      const got = await talk(web.port, `GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: ${protocol}\r\n\r\n`, body)
      assert.match(got, /^HTTP\/1\.1 200 /)
      // A :protocol is a token: with a version the stream is reset.
      if (protocol.includes('/')) await assert.rejects(tunnel2(web.port, protocol), /PROTOCOL_ERROR/)
      else {
        const { status, text } = await tunnel2(web.port, protocol)
        assert.equal(status, 501)
        assert.match(text, /not upgraded to/)
      }
      assert.deepEqual(web.heard, ['GET /'])
    })
})
