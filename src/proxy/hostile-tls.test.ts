/** Hostile ends of TLS: servers that are not who they should be, callers that never finish a handshake, and callers in plaintext who say they are somebody. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { after, before, describe, test } from 'node:test'
import { createIntermediate, createRoot, issueLeaf, type Signer } from '#identity/issue'
import { newKey } from '#identity/key'
import type { SpiffeId } from '#identity/spiffe'
import type { TlsMaterial } from '#io/net'
import { identityOf, inboundSide, materials, outboundSide, remote, type Side, trustDomain } from '../../test/harness/pair.ts'

const hour = 3_600_000

async function authority(): Promise<Signer> {
  const at = Date.now() - 240 * hour
  return createIntermediate(createRoot(trustDomain, await newKey(), at), await newKey(), at)
}

async function leafOf(signer: Signer, identity: string, issuedAt = Date.now(), lifeMs = hour): Promise<TlsMaterial> {
  const key = await newKey()
  const { chain } = issueLeaf(signer, key.public, identity as SpiffeId, issuedAt, { lifeMs })
  return { key: key.pem, cert: chain.join('\n'), roots: [signer.root] }
}

describe('a server that is not who it should be is told nothing', () => {
  let ours: Signer
  let caller: TlsMaterial
  before(async () => {
    ours = await authority()
    caller = await leafOf(ours, identityOf('shop'))
  })

  type Impostor = {
    readonly material?: () => Promise<TlsMaterial>
    readonly options?: tls.TlsOptions
    /** In place of TLS. */
    readonly says?: (socket: net.Socket) => void
    readonly code: RegExp
  }
  const impostors: Readonly<Record<string, Impostor>> = {
    'of another authority with the same names': {
      material: async () => leafOf(await authority(), identityOf('web')),
      code: /^tls-failed$/,
    },
    'whose certificate has expired': { material: () => leafOf(ours, identityOf('web'), Date.now() - 3 * hour, hour), code: /^tls-failed$/ },
    'whose certificate is not valid yet': {
      material: () => leafOf(ours, identityOf('web'), Date.now() + 24 * hour, hour),
      code: /^tls-failed$/,
    },
    'that is another workload of the mesh': { material: () => leafOf(ours, identityOf('mail')), code: /^identity-mismatch$/ },
    'that speaks TLS 1.2 at most': {
      material: () => leafOf(ours, identityOf('web')),
      options: { maxVersion: 'TLSv1.2' },
      code: /^tls-failed$/,
    },
    'that answers in plaintext': {
      says: socket => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi'),
      code: /^(tls-failed|connect-failed)$/,
    },
    'that answers with bytes of chance': { says: socket => socket.end(Buffer.alloc(4096, 0xa7)), code: /^(tls-failed|connect-failed)$/ },
    'that hangs up on the hello': { says: socket => socket.destroy(), code: /^(tls-failed|connect-failed)$/ },
    'that never answers the hello': { says: () => {}, code: /^connect-timeout$/ },
  }
  for (const [what, { material, options, says, code }] of Object.entries(impostors))
    test(what, async () => {
      let heard = 0
      const own = await material?.()
      const server =
        own === undefined
          ? net.createServer(socket => {
              socket.on('error', () => {}).once('data', () => says!(socket))
            })
          : tls.createServer({ key: own.key, cert: own.cert, ca: [...own.roots], ...options, ALPNProtocols: ['http/1.1'] }, socket => {
              socket.on('error', () => {}).on('data', bytes => (heard += bytes.length))
            })
      server.on('tlsClientError', () => {})
      const open = new Set<net.Socket>()
      server.on('connection', (socket: net.Socket) => open.add(socket.on('error', () => {})))
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      try {
        await using outside = await outboundSide('shop', caller, 'http', remote('web', [(server.address() as AddressInfo).port]))
        const answer = await fetch(`http://127.0.0.1:${outside.port}/secret`, { headers: { connection: 'close' } })
        assert.match(answer.headers.get('x-weft-error') ?? '', code, `${answer.status} ${await answer.text()}`)
        assert.ok(answer.status >= 502 && answer.status <= 504)
        assert.equal(heard, 0, 'nothing of the request left the proxy')
      } finally {
        for (const socket of open) socket.destroy()
        server.close()
      }
    })
})

describe('a port of the mesh', () => {
  let certificates: Record<string, TlsMaterial>
  let app: http.Server
  let web: Side
  let seen: http.IncomingHttpHeaders[] = []

  before(async () => {
    certificates = await materials('web', 'shop')
    app = http.createServer((request, response) => {
      seen.push(request.headers)
      response.end('served')
    })
    await new Promise<void>(done => app.listen(0, '127.0.0.1', done))
    web = await inboundSide('web', (app.address() as AddressInfo).port, 'http', certificates.web!)
  })
  after(async () => {
    app.close()
    await web.core[Symbol.asyncDispose]()
  })

  /** The first bytes that a client sends. */
  async function helloOf(): Promise<Buffer> {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = tls.connect({ port: (server.address() as AddressInfo).port, rejectUnauthorized: false })
    client.on('error', () => {})
    const [socket] = (await once(server, 'connection')) as [net.Socket]
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    client.destroy()
    socket.destroy()
    server.close()
    return bytes
  }

  test('ends handshakes that are never finished, however they begin, and serves others meanwhile', { timeout: 60_000 }, async () => {
    const hello = await helloOf()
    const beginnings: readonly Buffer[] = [
      Buffer.alloc(0),
      Buffer.from([0x16]),
      hello.subarray(0, 40),
      hello,
      // A record that says it is longer than it will ever be.
      Buffer.concat([Buffer.from([0x16, 0x03, 0x01, 0x40, 0x00]), hello.subarray(5, 200)]),
    ]
    const before = seen.length
    const began = performance.now()
    const ends = Array.from({ length: 100 }, (_, at) => {
      const socket = net.connect(web.port, '127.0.0.1')
      socket.on('error', () => {}).resume()
      socket.write(beginnings[at % beginnings.length]!)
      // One in seven goes on byte by byte, so that it is never silent.
      const drip = at % 7 === 0 ? setInterval(() => socket.write('\0'), 200) : undefined
      return once(socket, 'close').then(() => clearInterval(drip))
    })
    await using outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [web.port]))
    for (let times = 0; times < 5; times++) assert.equal(await (await fetch(`http://127.0.0.1:${outside.port}/`)).text(), 'served')
    assert.ok(performance.now() - began < 9000, 'others were served while these were open')
    await Promise.all(ends)
    assert.equal(seen.length - before, 5, 'only what was asked properly reached the workload')
  })

  test('that takes plaintext believes nothing that such a caller says of itself', async () => {
    const { core } = web
    const listeners = Object.fromEntries(
      Object.entries(core.view.listeners).map(([name, each]) => [name, { ...each, tls: { mode: 'permissive' as const } }]),
    )
    core.swap({ ...core.view, listeners })
    seen = []
    const forged = `By=${identityOf('web')};URI=${identityOf('admin')}`
    const answer = await fetch(`http://127.0.0.1:${web.port}/`, {
      headers: { 'x-forwarded-client-cert': forged, 'x-forwarded-for': '10.0.0.1', 'x-weft-retry': '1', connection: 'close' },
    })
    assert.equal(await answer.text(), 'served')
    assert.doesNotMatch(JSON.stringify(seen), /sa\/admin|10\.0\.0\.1|x-weft-retry/)
    assert.match(core.meter.registry.text(), /source_identity="",.*mtls="false".*code="200"/)
    // A PROXY header that nobody asked for is no request either.
    const heard = await new Promise<string>(resolve => {
      const socket = net.connect(web.port, '127.0.0.1')
      let all = ''
      socket.on('data', bytes => (all += bytes)).on('error', () => {})
      socket.on('close', () => resolve(all))
      socket.end('PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\nHost: web\r\n\r\n')
    })
    assert.doesNotMatch(heard, /served/)
  })
})
