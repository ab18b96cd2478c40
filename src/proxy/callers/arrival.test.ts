import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { after, before, describe, test } from 'node:test'
import { inboundSide, materials, outboundSide, remote, type Side } from '../../../test/harness/pair.ts'
import { dialTcp, secureClient, secureContext, type TlsMaterial } from '../../io/net.ts'
import type { Listener } from '../../model/listener.ts'

/** What a plaintext caller hears until the connection ends; says: what it sends at once. */
function call(port: number, says: string, isOver: (heard: string) => boolean = () => false): Promise<string> {
  return new Promise(resolve => {
    let heard = ''
    const socket = net.connect(port, '127.0.0.1')
    if (says !== '') socket.write(says)
    socket.setTimeout(15_000, () => socket.destroy())
    socket.on('data', bytes => {
      heard += bytes.toString('latin1')
      if (isOver(heard)) socket.destroy()
    })
    socket.on('error', () => {}).on('close', () => resolve(heard))
  })
}

const setMode = ({ core }: Side, mode: NonNullable<Listener['tls']>['mode']) =>
  core.swap({
    ...core.view,
    listeners: Object.fromEntries(Object.entries(core.view.listeners).map(([name, listener]) => [name, { ...listener, tls: { mode } }])),
  })

const request = 'GET /x HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n'

describe('a port of the mesh', () => {
  let certificates: Record<string, TlsMaterial>
  let app: http.Server
  let web: Side

  before(async () => {
    certificates = await materials('web', 'mail', 'shop')
    app = http.createServer((_request, response) => response.end('served'))
    await new Promise<void>(done => app.listen(0, '127.0.0.1', done))
    web = await inboundSide('web', (app.address() as AddressInfo).port, 'http', certificates.web!)
  })
  after(async () => {
    app.close()
    await web.core[Symbol.asyncDispose]()
  })

  const throughMesh = async (side: Side) => {
    await using outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [side.port]))
    return (await fetch(`http://127.0.0.1:${outside.port}/`, { headers: { connection: 'close' } })).text()
  }

  test('that is strict tells an HTTP caller in plaintext why it is refused, closes, and counts it', async () => {
    const heard = await call(web.port, request)
    assert.match(heard, /^HTTP\/1\.1 403 [\s\S]*x-weft-error: identity-required\r\n[\s\S]*connection: close\r\n[\s\S]*weft run/)
    assert.doesNotMatch(heard, /served/)
    assert.match(web.core.meter.registry.text(), /weft_tcp_connections_closed_total\{direction="inbound".*reason="identity-required"\} 1/)
  })

  test('that is strict closes what speaks anything else in plaintext, without a byte', async () => {
    assert.equal(await call(web.port, 'EHLO you\r\n'), '')
    assert.equal(await call(web.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), '')
  })

  test('changes between strict and permissive while it runs: each new connection goes by the mode of its moment, callers of the mesh by TLS in both', async () => {
    for (const mode of ['permissive', 'strict', 'permissive', 'strict'] as const) {
      setMode(web, mode)
      assert.match(await call(web.port, request), mode === 'strict' ? /^HTTP\/1\.1 403 / : /^HTTP\/1\.1 200 [\s\S]*served/)
      assert.equal(await throughMesh(web), 'served')
    }
    const text = web.core.meter.registry.text()
    assert.match(text, /source_identity="",.*mtls="false".*code="200"/)
    assert.match(text, /source_identity="spiffe:\/\/weft.test\/ns\/default\/sa\/shop",.*mtls="true".*code="200"/)
  })

  test('that is permissive serves a caller whose first bytes come one by one', async () => {
    setMode(web, 'permissive')
    const heard = await new Promise<string>(resolve => {
      let all = ''
      const socket = net.connect(web.port, '127.0.0.1')
      socket.on('data', bytes => (all += bytes)).on('close', () => resolve(all))
      const send = (at: number) => {
        if (at === request.length) return
        socket.write(request[at]!)
        setTimeout(send, 1, at + 1)
      }
      send(0)
    })
    assert.match(heard, /served/)
    setMode(web, 'strict')
  })

  test('agrees on TLS 1.3 and a key exchange that a quantum computer does not break, between two proxies', async () => {
    const secure = secureClient(dialTcp('127.0.0.1', web.port), secureContext(certificates.shop!), ['http/1.1'], '80.web.default.mesh')
    await once(secure, 'secureConnect')
    assert.equal(secure.getProtocol(), 'TLSv1.3')
    assert.equal((secure.getEphemeralKeyInfo() as { name?: string } | null)?.name, 'X25519MLKEM768')
    secure.destroy()
  })

  test('refuses a caller that speaks no TLS newer than 1.2', async () => {
    const { key, cert, roots } = certificates.shop!
    const secure = tls.connect({ port: web.port, key, cert, ca: [...roots], maxVersion: 'TLSv1.2', checkServerIdentity: () => undefined })
    const [error] = (await once(secure, 'error')) as [NodeJS.ErrnoException]
    assert.match(String(error.code), /PROTOCOL_VERSION/)
  })

  for (const protocol of ['tcp', 'detect'] as const)
    test(`that is permissive lets a server of ${protocol} speak first to a plaintext caller that is silent`, async () => {
      const greeter = net.createServer(socket => socket.on('error', () => {}).write('220 ready\r\n'))
      await new Promise<void>(done => greeter.listen(0, '127.0.0.1', done))
      const mail = await inboundSide('mail', (greeter.address() as AddressInfo).port, protocol, certificates.mail!)
      setMode(mail, 'permissive')
      assert.equal(await call(mail.port, '', heard => heard.endsWith('\n')), '220 ready\r\n')
      await using outside = await outboundSide('shop', certificates.shop!, protocol, remote('mail', [mail.port], { protocol: 'tcp' }))
      assert.equal(await call(outside.port, '', heard => heard.endsWith('\n')), '220 ready\r\n')
      await mail.core[Symbol.asyncDispose]()
      greeter.close()
    })
})
