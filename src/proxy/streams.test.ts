/** Streams of many callers on the connections between two proxies: back-pressure, limits, connections that end, what HTTP/1 must not notice. One file as a whole: all cases share how the pair is started and loaded. */

import assert from 'node:assert/strict'
import type http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { describe, test } from 'node:test'
import { client, counted, type Handler, pairTo, until, type Version, workload } from '../../test/harness/versions.ts'
import { inboundSide, materials, outboundSide, remote, table } from '../../test/harness/pair.ts'
import { Multiplexed } from './upstreams/multiplexed.ts'

const versions: readonly Version[] = ['http1', 'http2']
const pause = (ms: number) => new Promise(done => setTimeout(done, ms))

/** Asks in so many lines at once until told to stop; every answer must be a 200 with the body that was sent. */
function steady(port: number, version: Version, lines: number) {
  const caller = client(version, port)
  let isOver = false
  let served = 0
  const wrong: string[] = []
  const line = async () => {
    while (!isOver) {
      const [method, body] = served % 3 === 0 ? ['GET', undefined] : ['POST', Buffer.alloc(served % 3 === 1 ? 100 : 30_000, 'b')]
      try {
        const answer = await caller.ask('/echo', { method, ...(body === undefined ? {} : { body }) })
        if (answer.status !== 200 || answer.body.length !== (body?.length ?? 0))
          wrong.push(`${method} ${answer.status} ${String(answer.headers['x-weft-error-detail'])} ${answer.body.length} bytes`)
      } catch (thrown) {
        wrong.push(`${method} ${String(thrown)}`)
      }
      served++
      await pause(1)
    }
  }
  const all = Promise.all(Array.from({ length: lines }, line))
  return {
    served: () => served,
    async stop() {
      isOver = true
      await all
      caller[Symbol.dispose]()
      return wrong
    },
  }
}

const echo: Handler = (ask, reply) => void ask.pipe(reply).on('error', () => {})

describe('streams that share connections', { timeout: 40_000 }, () => {
  for (const to of versions)
    test(`a slow reader stalls its own stream only, and what is held for it is bounded (workload of ${to})`, async () => {
      let poured = 0
      const piece = Buffer.alloc(65_536)
      await using app = await workload(to, (ask, reply) => {
        if (ask.url !== '/pour') return echo(ask, reply)
        const pour = () => {
          while (poured < 100_000_000) {
            poured += piece.length
            if (!reply.write(piece)) return
          }
          reply.end()
        }
        reply.on('drain', pour).on('error', () => {})
        pour()
      })
      await using pair = await pairTo(app.port, to)
      using caller = client('http2', pair.port)
      const slow = caller.open('/pour') as http2.ClientHttp2Stream
      slow.on('error', () => {})
      await new Promise(done => slow.once('response', done))
      let settled = -1
      await until(() => settled === (settled = poured) && poured > 0, 'the workload to be held back')
      await pause(300)
      assert.equal(poured, settled)
      assert.ok(poured < 8_000_000, `${poured} bytes left the workload for a reader that reads nothing`)
      for (const size of [0, 100_000, 3_000_000]) {
        const body = Buffer.alloc(size, 'x')
        assert.equal((await caller.ask('/echo', { method: 'POST', body })).body.length, size)
      }
      let got = 0
      slow.on('data', (bytes: Buffer) => (got += bytes.length))
      await until(() => got > 20_000_000, 'the stream to go on')
      slow.close(8)
      await until(() => counted(pair.inside, 'weft_requests_total', /reason="caller-gone"/) === 1, 'the stream to end')
    })

  test('a body that the workload does not read is held back at its caller, the answers of others pass', async () => {
    await using app = await workload('http2', (ask, reply) => {
      if (ask.url !== '/ignore') echo(ask, reply)
    })
    await using pair = await pairTo(app.port, 'http2')
    using caller = client('http2', pair.port)
    const ignored = caller.open('/ignore', { method: 'POST' }) as http2.ClientHttp2Stream
    ignored.on('error', () => {})
    let sent = 0
    const piece = Buffer.alloc(65_536)
    const push = () => {
      while (sent < 50_000_000) {
        sent += piece.length
        if (!ignored.write(piece)) return
      }
    }
    ignored.on('drain', push)
    push()
    await pause(500)
    const held = sent
    await pause(200)
    assert.equal(sent, held)
    assert.ok(sent < 4_000_000, `${sent} bytes were taken of a body that nobody reads`)
    assert.equal((await caller.ask('/echo', { method: 'POST', body: Buffer.alloc(500_000) })).body.length, 500_000)
    ignored.close(8)
  })

  test('many slow readers whose answers are whole at the workload do not take the connection from the others', async () => {
    await using app = await workload(
      'http2',
      (ask, reply) => void (ask.url === '/small' ? reply.end('ok') : reply.end(Buffer.alloc(200_000))),
    )
    await using pair = await pairTo(app.port, 'http2')
    const session = http2.connect(`http://127.0.0.1:${pair.port}`, { settings: { initialWindowSize: 10 } })
    const slow = Array.from({ length: 60 }, () => session.request({ ':path': '/large' }).on('error', () => {}))
    await Promise.all(slow.map(stream => new Promise(done => stream.once('response', done))))
    using other = client('http1', pair.port)
    for (let count = 0; count < 5; count++) assert.equal(String((await other.ask('/small')).body), 'ok')
    for (const stream of slow) stream.close(8)
    await until(() => counted(pair.outside, 'weft_upstream_streams') === 0, 'all of it to end')
    for (let count = 0; count < 50; count++) assert.equal((await other.ask('/large')).body.length, 200_000)
    session.destroy()
  })

  test('two thousand requests at once are all answered, by a workload that takes a hundred on a connection', async () => {
    let now = 0
    let most = 0
    const connections = new Set<unknown>()
    await using app = await workload(
      'http2',
      (ask, reply) => {
        connections.add(ask.socket)
        most = Math.max(most, ++now)
        setTimeout(() => {
          now--
          reply.end('ok')
        }, 50)
      },
      { maxConcurrentStreams: 100 },
    )
    await using pair = await pairTo(app.port, 'http2')
    const callers = Array.from({ length: 4 }, () => client('http2', pair.port))
    const answers = await Promise.all(callers.flatMap(caller => Array.from({ length: 500 }, () => caller.ask('/'))))
    assert.deepEqual(
      answers.filter(({ status }) => status !== 200).map(({ status, headers }) => [status, headers['x-weft-error-detail']]),
      [],
    )
    assert.equal(answers.length, 2000)
    assert.ok(most > 100, `${most} at once`)
    for (const caller of callers) caller[Symbol.dispose]()
    for (const side of [pair.inside, pair.outside])
      await until(() => counted(side, 'weft_upstream_streams') + counted(side, 'weft_upstream_waiting') === 0, 'nothing to be left')
  })

  test('requests beyond what may wait are answered overload', async () => {
    await using app = await workload('http2', () => {}, { maxConcurrentStreams: 1 })
    await using pair = await pairTo(app.port, 'http2')
    const refused: unknown[] = []
    const callers = Array.from({ length: 5 }, () => client('http2', pair.port))
    for (const caller of callers)
      for (let count = 0; count < 900; count++)
        caller
          .ask('/')
          .then(({ status, headers }) => refused.push([status, headers['x-weft-error']]))
          .catch(() => {})
    // 16 connections carry one each (the first a hundred, before its peer says so), and no more than 4,096 requests wait.
    await until(() => refused.length >= 4500 - 4096 - 16, 'the others to be refused')
    assert.deepEqual(refused[0], [503, 'overload'])
    assert.ok(counted(pair.inside, 'weft_upstream_waiting') > 3500)
    for (const caller of callers) caller[Symbol.dispose]()
  })
})

describe('connections that end while requests run', { timeout: 40_000 }, () => {
  for (const to of versions)
    test(`none fails when the workload of ${to} closes its connections in order again and again`, async () => {
      await using app = await workload(to, (ask, reply) => {
        if (to === 'http1' && Math.random() < 0.1) reply.setHeader('connection', 'close')
        echo(ask, reply)
      })
      const sessions = new Set<http2.ServerHttp2Session>()
      app.server.on('session', (session: http2.ServerHttp2Session) => sessions.add(session))
      await using pair = await pairTo(app.port, to)
      const load = steady(pair.port, 'http2', 8)
      for (let count = 0; count < 10; count++) {
        await pause(100)
        // Two steps, as RFC 9113 §6.8 has it: what comes meanwhile is still served.
        for (const session of sessions) {
          sessions.delete(session)
          session.goaway(0, 2 ** 31 - 1)
          setTimeout(() => session.close(), 50)
        }
      }
      assert.deepEqual(await load.stop(), [])
      assert.ok(load.served() > 100)
    })

  for (const from of versions)
    test(`none fails when one of two inbound proxies drains (callers of ${from})`, async () => {
      const certificates = await materials('web', 'shop')
      await using app = await workload('http2', echo)
      const sides = await Promise.all([1, 2].map(() => inboundSide('web', app.port, 'http', certificates['web']!, undefined, 'http2')))
      const ports = sides.map(({ port }) => port)
      await using outside = await outboundSide('shop', certificates['shop']!, 'http', remote('web', ports))
      const load = steady(outside.port, from, 8)
      await pause(300)
      await sides[0]!.core.drain(5000)
      outside.swap(remote('web', ports.slice(1)))
      await pause(300)
      assert.deepEqual(await load.stop(), [])
      assert.ok(load.served() > 100)
      for (const { core } of sides) await core[Symbol.asyncDispose]()
    })

  test('none fails, and streams go on, while the certificates of both proxies are renewed again and again', async () => {
    const [first, ...fresh] = await Promise.all([1, 2, 3].map(() => materials('web', 'shop')))
    // All of them are trusted, as while a mesh changes its root.
    const roots = [first!, ...fresh].flatMap(({ web }) => web!.roots)
    const trusting = (of: typeof first, service: string) => ({ ...of![service]!, roots })
    await using app = await workload('http2', (ask, reply) => {
      if (ask.url !== '/ticks') return echo(ask, reply)
      const ticking = setInterval(() => reply.write('.'), 20)
      reply.on('close', () => clearInterval(ticking))
    })
    const inside = await inboundSide('web', app.port, 'http', trusting(first, 'web'), undefined, 'http2')
    await using outside = await outboundSide('shop', trusting(first, 'shop'), 'http', remote('web', [inside.port]))
    const load = steady(outside.port, 'http2', 8)
    using caller = client('http2', outside.port)
    const long = caller.open('/ticks') as http2.ClientHttp2Stream
    let ticks = 0
    long.on('data', (bytes: Buffer) => (ticks += bytes.length)).on('error', () => {})
    await until(() => ticks > 0, 'the stream to begin')
    for (const next of [...fresh, first]) {
      inside.core.present(trusting(next, 'web'))
      outside.core.present(trusting(next, 'shop'))
      await pause(150)
    }
    const before = ticks
    await until(() => ticks > before + 3, 'the stream to go on')
    assert.deepEqual(await load.stop(), [])
    long.close()
    await until(() => counted(outside, 'weft_upstream_connections') <= 1, 'the connections with old certificates to end')
    await inside.core[Symbol.asyncDispose]()
  })

  for (const to of versions)
    test(`a workload of ${to} that is killed and started again serves again`, async () => {
      const first = await workload(to, echo)
      const { port } = first
      await using pair = await pairTo(port, to)
      using caller = client('http2', pair.port)
      assert.equal((await caller.ask('/a')).status, 200)
      await first[Symbol.asyncDispose]()
      const gone = await caller.ask('/a')
      assert.deepEqual([gone.status, gone.headers['x-weft-error']], [503, 'connect-refused'])
      await using _again = await workload(to, echo, {}, port)
      assert.equal((await caller.ask('/a', { method: 'POST', body: Buffer.from('x') })).status, 200)
    })

  test('a peer that falls silent is asked for a sign of life and given up without one', async () => {
    const sockets: net.Socket[] = []
    const silent = net.createServer(socket => void sockets.push(socket.resume())).listen(0, '127.0.0.1')
    await new Promise(done => silent.once('listening', done))
    const socket = net.connect((silent.address() as net.AddressInfo).port, '127.0.0.1')
    await new Promise(done => socket.once('connect', done))
    let over = 0
    const connection = new Multiplexed({ socket, identity: undefined }, { over: () => over++, room: () => {} })
    const now = performance.now()
    let heard = 0
    sockets[0]?.on('data', (bytes: Buffer) => (heard += bytes.length))
    connection.sweep(now + 10_000)
    connection.sweep(now + 21_000)
    assert.equal(over, 0)
    connection.sweep(now + 43_000)
    assert.equal(over, 1)
    assert.equal(connection.isOpen, false)
    await until(() => socket.destroyed, 'the socket to be closed')
    for (const each of sockets) each.destroy()
    silent.close()
  })
})

/** What comes back on a connection to a port until it closes or is silent for a moment. */
const raw = (port: number, text: string): Promise<string> =>
  new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text))
    let got = ''
    socket.setTimeout(500, () => socket.destroy())
    socket.on('data', bytes => (got += bytes.toString('latin1'))).on('error', () => {})
    socket.on('close', () => resolve(got))
  })

describe('what HTTP/2 between the proxies must not change for HTTP/1', { timeout: 30_000 }, () => {
  test('names of fields keep their case both ways, in whatever mixture, also of those that occur twice', async () => {
    let seen: readonly string[] = []
    const answered = [
      'Content-Type',
      'text/plain',
      'X-MiXeD',
      '1',
      'etag',
      '"a"',
      'Set-Cookie',
      'a=1',
      'set-cookie',
      'b=2',
      'X-Two',
      '1',
      'X-Two',
      '2',
    ]
    await using app = await workload('http1', (ask, reply) => {
      seen = ask.rawHeaders
      reply.writeHead(200, answered)
      reply.end('x')
    })
    await using pair = await pairTo(app.port, 'http1')
    for (const sent of [
      ['Host', 'web', 'Accept', '*/*', 'X-Request-Id', '1'],
      ['host', 'web', 'accept', '*/*', 'x-request-id', '1'],
      [
        'HOST',
        'web',
        'aCCept',
        '*/*',
        'X-UPPER',
        '1',
        'x-lower',
        '2',
        'X-Twice',
        'a',
        'x-twice',
        'b',
        'X-TWICE',
        'c',
        'Cookie',
        'a=1; b=2',
      ],
    ]) {
      const lines = sent.map((text, at) => (at % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
      const got = await raw(pair.port, `GET / HTTP/1.1\r\n${lines}\r\n`)
      const passed = seen.filter(
        (_, at) => !/^(x-forwarded-client-cert|x-request-id)$/i.test(seen[at & ~1]!) || sent.includes(seen[at & ~1]!),
      )
      assert.deepEqual(passed, sent)
      const lineOf = (name: string, value: string) => `${name}: ${value}\r\n`
      for (let at = 0; at < answered.length; at += 2)
        assert.ok(got.includes(lineOf(answered[at]!, answered[at + 1]!)), `${answered[at]} in ${got}`)
      assert.ok(!/x-weft/i.test(got))
      assert.ok(!seen.some(text => /x-weft/i.test(text)))
    }
  })

  test('an offer of h2c is passed over', async () => {
    let upgrade: string | undefined = 'none'
    await using app = await workload('http1', (ask, reply) => {
      upgrade = ask.headers.upgrade
      reply.end('plain')
    })
    await using pair = await pairTo(app.port, 'http1')
    const got = await raw(
      pair.port,
      'GET / HTTP/1.1\r\nHost: web\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n',
    )
    assert.match(got, /^HTTP\/1\.1 200 [\s\S]*plain/)
    assert.equal(upgrade, undefined)
  })

  for (const to of versions)
    test(`a client of HTTP/1.0 is answered so that it understands it (workload of ${to})`, async () => {
      await using app = await workload(to, (_ask, reply) => {
        reply.write('one, ')
        reply.end('two')
      })
      await using pair = await pairTo(app.port, to)
      const got = await raw(pair.port, 'GET / HTTP/1.0\r\n\r\n')
      assert.match(got, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\none, two$/)
      assert.ok(!/transfer-encoding/i.test(got))
    })

  test('a caller that sends requests and reads no answers is not served without end', async () => {
    let asked = 0
    await using app = await workload('http1', (_ask: http.IncomingMessage, reply) => {
      asked++
      reply.end(Buffer.alloc(60_000))
    })
    await using pair = await pairTo(app.port, 'http1')
    const socket = net.connect(pair.port, '127.0.0.1')
    await new Promise(done => socket.once('connect', done))
    socket.pause()
    socket.write('GET / HTTP/1.1\r\nHost: web\r\n\r\n'.repeat(2000))
    let settled = -1
    await until(() => settled === (settled = asked) && asked > 0, 'it to be held back')
    await pause(300)
    assert.ok(asked < 300, `${asked} requests of a caller that reads nothing were served`)
    let got = 0
    socket.on('data', bytes => (got += bytes.length)).resume()
    await until(() => got > 2000 * 60_000, 'all answers to come when it reads', 30_000)
    socket.destroy()
  })
})

test('a route table without routes is told to callers of either version', async () => {
  await using app = await workload('http1', echo)
  await using pair = await pairTo(app.port, 'http1')
  pair.outside.swap({ routes: { out: table('out', []) } })
  for (const version of versions) {
    using caller = client(version, pair.port)
    const answer = await caller.ask('/', { method: 'POST', body: Buffer.alloc(200_000) })
    assert.deepEqual([answer.status, answer.headers['x-weft-error']], [404, 'no-route'])
  }
})
