import assert from 'node:assert/strict'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { forwardTo, inboundSide, materials, type OutboundSide, outboundSide, remote, type Side, table } from '../../../test/harness/pair.ts'
import type { Route } from '../../model/route.ts'

describe('a route with timeouts', () => {
  let app: http.Server
  let inside: Side
  let outside: OutboundSide & AsyncDisposable
  const calls: string[] = []
  const origin = () => Object.keys(remote('web', [inside.port]).backends)[0]!

  before(async () => {
    const certificates = await materials('web', 'shop')
    app = http.createServer((request, response) => {
      calls.push(request.url!)
      if (request.url === '/half') {
        response.writeHead(200, { 'content-length': 10 })
        response.write('half')
      } else if (request.url === '/fast') response.end('fast')
      else if (request.url === '/100ms') setTimeout(() => response.end('late'), 100)
    })
    app.on('upgrade', (_request, socket: net.Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.on('error', () => {}).pipe(socket)
    })
    await new Promise<void>(done => app.listen(0, '127.0.0.1', done))
    inside = await inboundSide('web', (app.address() as AddressInfo).port, 'http', certificates.web!)
    outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [inside.port]))
    // Connected, so that no time goes by in handshakes.
    await (await get('/fast')).answer.text()
  })
  after(async () => {
    app.closeAllConnections()
    app.close()
    await outside[Symbol.asyncDispose]()
    await inside.core[Symbol.asyncDispose]()
  })

  const limited = (timeouts: NonNullable<Route['timeouts']>, ports: readonly number[] = [inside.port]) =>
    outside.swap({ ...remote('web', ports), routes: { out: table('out', [{ ...forwardTo(origin()), timeouts }]) } })

  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${outside.port}${path}`, { signal: AbortSignal.timeout(20_000) })
    return { status: answer.status, error: answer.headers.get('x-weft-error'), detail: answer.headers.get('x-weft-error-detail'), answer }
  }

  for (const [which, timeouts] of [
    ['request', { requestMs: 400 }],
    ['backendRequest', { tryMs: 400 }],
    ['request', { requestMs: 400, tryMs: 400 }],
  ] as const)
    test(`answers 504 and names timeouts.${which} when no answer began in time, and tries nothing twice (${JSON.stringify(timeouts)})`, async () => {
      limited(timeouts)
      calls.length = 0
      const { status, error, detail } = await get('/never')
      assert.deepEqual([status, error], [504, 'upstream-timeout'])
      assert.match(detail!, new RegExp(`timeouts\\.${which} of 400 ms`))
      assert.deepEqual(calls, ['/never'])
    })

  test('breaks an answer off that began in time and did not end in time, and counts it with the reason', async () => {
    limited({ requestMs: 200 })
    const { status, answer } = await get('/half')
    assert.equal(status, 200)
    await assert.rejects(answer.text())
    assert.match(outside.core.meter.registry.text(), /code="200",grpc_status="",reason="upstream-timeout"/)
  })

  test('lets an answer through that comes in time, and the connection serves on', async () => {
    limited({ requestMs: 10_000, tryMs: 9_000 })
    for (const path of ['/100ms', '/fast', '/100ms']) assert.equal((await get(path)).status, 200)
  })

  test('of zero has no limit', async () => {
    limited({ requestMs: 0, tryMs: 0 })
    assert.equal(await (await get('/100ms')).answer.text(), 'late')
  })

  test('of a length that no timer takes has none that goes off at once', async () => {
    limited({ requestMs: 99_999 * 3_600_000 })
    assert.equal(await (await get('/100ms')).answer.text(), 'late')
  })

  test('tries another endpoint when the time of a try went by without a connection', async () => {
    // It takes the connection and never answers the handshake.
    const held: net.Socket[] = []
    const silent = net.createServer(socket => void held.push(socket.on('error', () => {})))
    await new Promise<void>(done => silent.listen(0, '127.0.0.1', done))
    const silentPort = (silent.address() as AddressInfo).port
    limited({ tryMs: 300 }, [silentPort, inside.port])
    for (let count = 0; count < 2; count++) assert.equal(await (await get('/fast')).answer.text(), 'fast')
    assert.ok(held.length > 0)
    limited({ requestMs: 300 }, [silentPort])
    const { status, detail } = await get('/fast')
    assert.equal(status, 504)
    assert.match(detail!, /timeouts\.request/)
    for (const socket of held) socket.destroy()
    await new Promise(done => silent.close(done))
  })

  test('does not end a tunnel that stands', async () => {
    limited({ requestMs: 200, tryMs: 100 })
    const socket = net.connect(outside.port, '127.0.0.1')
    socket.write('GET /chat HTTP/1.1\r\nHost: w\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    await new Promise<void>(done => socket.once('data', () => done()))
    await new Promise(done => setTimeout(done, 500))
    const echo = new Promise<string>(resolve => socket.once('data', bytes => resolve(String(bytes))))
    socket.write('still here')
    assert.equal(await echo, 'still here')
    socket.destroy()
  })
})
