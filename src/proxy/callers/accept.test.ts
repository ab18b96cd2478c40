import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { dialled, inboundSide, materials, outboundSide, remote } from '../../../test/harness/pair.ts'
import type { TlsMaterial } from '../../io/net.ts'

type Answer = { readonly status: number; readonly error: string | null; readonly text: string }

async function ask(port: number, path: string, method = 'GET'): Promise<Answer> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { connection: 'close' } })
  return { status: answer.status, error: answer.headers.get('x-weft-error'), text: await answer.text() }
}

describe('what a proxy does not even begin', () => {
  let certificates: Record<string, TlsMaterial>
  let app: http.Server
  let held: http.ServerResponse[] = []
  let appPort: number

  before(async () => {
    certificates = await materials('web', 'shop')
    app = http.createServer((request, response) => {
      if (request.url === '/hold') held.push(response)
      else response.end('served')
    })
    await new Promise<void>(done => app.listen(0, '127.0.0.1', done))
    appPort = (app.address() as AddressInfo).port
  })
  after(() => {
    app.closeAllConnections()
    app.close()
  })

  const isHeld = async (count: number) => {
    while (held.length < count) await new Promise(done => setTimeout(done, 5))
  }

  test('more requests at once than its limit are answered 503 overload, and served again when there are fewer', async () => {
    held = []
    const inside = await inboundSide('web', appPort, 'http', certificates.web!, { requests: 2, connections: 100 })
    await using outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [inside.port]))
    const running = [ask(outside.port, '/hold'), ask(outside.port, '/hold')]
    await isHeld(2)
    const refused = await ask(outside.port, '/')
    assert.deepEqual([refused.status, refused.error], [503, 'overload'])
    assert.match(refused.text, /2 requests at once/)
    for (const response of held) response.end('late')
    assert.deepEqual(
      (await Promise.all(running)).map(answer => answer.text),
      ['late', 'late'],
    )
    assert.equal((await ask(outside.port, '/')).text, 'served')
    assert.match(inside.core.meter.registry.text(), /code="503",grpc_status="",reason="overload"\} 1/)
    await inside.core[Symbol.asyncDispose]()
  })

  test('a connection to an address of the mesh at a port that no service has is broken off, and not sent outside', async () => {
    await using outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [appPort]))
    const captured = net.createServer(socket => outside.core.outbound(socket, { host: '240.77.1.2', port: 81 }))
    await new Promise<void>(done => captured.listen(0, '127.0.0.1', done))
    const caller = net.connect((captured.address() as AddressInfo).port, '127.0.0.1')
    const [thrown] = (await once(caller, 'error')) as [NodeJS.ErrnoException]
    assert.equal(thrown.code, 'ECONNRESET')
    assert.match(outside.core.meter.registry.text(), /weft_tcp_connections_closed_total\{.*reason="no-listener".*\} 1/)
    captured.close()
  })

  test('more connections at once than its limit are broken off and counted', async () => {
    const echo = net.createServer(socket => socket.on('error', () => {}).pipe(socket))
    await new Promise<void>(done => echo.listen(0, '127.0.0.1', done))
    const inside = await inboundSide('web', (echo.address() as AddressInfo).port, 'tcp', certificates.web!, {
      requests: 100,
      connections: 1,
    })
    await using outside = await outboundSide('shop', certificates.shop!, 'tcp', remote('web', [inside.port], { protocol: 'tcp' }))
    const hello = async () => {
      const socket = await dialled(outside.port)
      socket.on('error', () => {}).write('hello')
      const heard = await new Promise<string>(resolve => {
        socket.once('data', bytes => resolve(String(bytes))).once('end', () => resolve('closed'))
        socket.once('close', () => resolve('closed'))
      })
      return { socket, heard }
    }
    const first = await hello()
    assert.equal(first.heard, 'hello')
    const second = await hello()
    assert.equal(second.heard, 'closed')
    second.socket.destroy()
    assert.match(inside.core.meter.registry.text(), /weft_tcp_connections_closed_total\{.*reason="overload"\} 1/)
    first.socket.destroy()
    while (inside.core.meter.registry.text().match(/weft_connections_active\{.*\} [1-9]/)) await new Promise(done => setTimeout(done, 5))
    const third = await hello()
    assert.equal(third.heard, 'hello')
    third.socket.destroy()
    await inside.core[Symbol.asyncDispose]()
    echo.close()
  })

  test('a request that comes to a draining proxy goes to another endpoint, a POST too; without another it is told so', async () => {
    held = []
    const [leaving, staying] = await Promise.all([1, 2].map(() => inboundSide('web', appPort, 'http', certificates.web!)))
    await using outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [leaving!.port]))
    // A connection that is made before the drain begins and speaks after.
    const socket = await dialled(leaving!.port)
    const running = ask(outside.port, '/hold')
    await isHeld(1)
    const drained = leaving!.core.drain(5000)
    const text = await spoken(socket, certificates.shop!)
    assert.match(text, /^HTTP\/1\.1 503 [\s\S]*x-weft-error: draining/)
    held[0]!.end('late')
    assert.equal((await running).text, 'late')
    await drained
    outside.swap(remote('web', [leaving!.port, staying!.port]))
    for (const method of ['GET', 'POST'])
      for (let count = 0; count < 2; count++) assert.equal((await ask(outside.port, '/', method)).status, 200)
    for (const side of [leaving, staying]) await side!.core[Symbol.asyncDispose]()
  })

  test('the workload may still call out while its proxy drains, over new connections too', async () => {
    const inside = await inboundSide('web', appPort, 'http', certificates.web!)
    await using outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [inside.port]))
    held = []
    const running = ask(outside.port, '/hold')
    await isHeld(1)
    const drained = outside.core.drain(5000)
    assert.equal((await ask(outside.port, '/')).text, 'served')
    held[0]!.end('late')
    assert.equal((await running).text, 'late')
    await drained
    await inside.core[Symbol.asyncDispose]()
  })
})

/** One request over mutual TLS on a connection that stands, and all that comes back until an answer is there. */
async function spoken(socket: net.Socket, { key, cert, roots }: TlsMaterial): Promise<string> {
  const tls = await import('node:tls')
  const secure = tls.connect({ socket, key, cert, ca: [...roots], ALPNProtocols: ['http/1.1'], checkServerIdentity: () => undefined })
  secure.write('POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 0\r\n\r\n')
  let text = ''
  for await (const bytes of secure) {
    text += String(bytes)
    if (text.includes('\r\n\r\n')) break
  }
  return text
}
