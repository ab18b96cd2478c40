import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { identityOf, inboundSide, materials, type OutboundSide, outboundSide, remote, type Side } from '../../../test/harness/pair.ts'
import { listen, type TlsMaterial } from '../../io/net.ts'
import type { Listener } from '../../model/listener.ts'
import type { View } from '../../model/view.ts'

/** Says who it is, with the first bytes that it got; reads on. */
async function teller(name: string): Promise<net.Server> {
  const server = net.createServer(socket => {
    socket.on('error', () => {})
    const parts: Buffer[] = []
    socket.on('data', (bytes: Buffer) => {
      parts.push(bytes)
      socket.write(`${name} ${Buffer.concat(parts).length}\n`)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}
const portOf = (server: net.Server): number => (server.address() as AddressInfo).port

/** What a client of TLS says first. */
async function helloOf(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = tls.connect({ port: portOf(server), host: '127.0.0.1', ...options }).on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const [hello] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}

function heard(socket: net.Socket, until: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    const text = () => Buffer.concat(parts).toString('latin1')
    socket.on('data', (bytes: Buffer) => {
      parts.push(bytes)
      if (until(text())) resolve(text())
    })
    socket.once('end', () => resolve(text()))
    socket.once('error', reject)
  })
}

describe('TLS by server name through two proxies', () => {
  let certificates: Record<string, TlsMaterial>
  let one: net.Server
  let two: net.Server
  let sides: Side[]
  let outside: OutboundSide & AsyncDisposable
  const byName: Listener = {
    name: 'out',
    direction: 'outbound',
    host: '240.0.0.1',
    port: 80,
    protocol: 'tls',
    service: 'target.default',
    serverNames: [
      { names: ['one.test'], backends: [{ backend: 'default/one:80', weight: 1 }] },
      { names: ['*.two.test'], backends: [{ backend: 'default/two:80', weight: 1 }] },
    ],
  }

  before(async () => {
    certificates = await materials('web', 'one', 'two')
    one = await teller('one')
    two = await teller('two')
    sides = [
      await inboundSide('one', portOf(one), 'tls', certificates['one']!),
      await inboundSide('two', portOf(two), 'tls', certificates['two']!),
    ]
    const first = remote('one', [sides[0]!.port], { protocol: 'tcp' })
    const second = remote('two', [sides[1]!.port], { protocol: 'tcp' })
    const parts: Partial<View> = {
      listeners: { out: byName },
      backends: { ...first.backends, ...second.backends },
      endpoints: { ...first.endpoints, ...second.endpoints },
    }
    outside = await outboundSide('web', certificates['web']!, 'tls', parts)
  })
  after(async () => {
    await outside[Symbol.asyncDispose]()
    for (const { core } of sides) {
      await core.drain(100)
      await core[Symbol.asyncDispose]()
    }
    one.close()
    two.close()
  })

  const call = () => net.connect({ port: outside.port, host: '127.0.0.1', allowHalfOpen: true })
  const closed = (): string[] =>
    outside.core.meter.registry
      .text()
      .split('\n')
      .filter(line => line.startsWith('weft_tcp_connections_closed_total'))
  const countOf = (reason: string): number =>
    closed()
      .filter(line => line.includes(`reason="${reason}"`))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)

  test('a hello leads to the server of its name, whole, however it is cut', async () => {
    for (const [servername, name] of [
      ['one.test', 'one'],
      ['www.two.test', 'two'],
    ] as const) {
      const hello = await helloOf({ servername })
      for (const size of [hello.length, 100, 1]) {
        const socket = call()
        for (let at = 0; at < hello.length; at += size) {
          socket.write(hello.subarray(at, at + size))
          if (size > 1 || at % 50 === 0) await pause(1)
        }
        const said = await heard(socket, text => text.endsWith(` ${hello.length}\n`))
        assert.ok(said.startsWith(`${name} `), said)
        socket.destroy()
      }
    }
  })

  test('with an encrypted hello (ECH) the outer name decides', async () => {
    const hello = await helloOf({ servername: 'one.test' })
    // The extension encrypted_client_hello (0xfe0d), as a client of RFC 9849 sends it, put behind those that are there.
    const extension = Buffer.from([0xfe, 0x0d, 0, 8, 0, 0, 1, 0, 1, 7, 0, 0])
    const longer = Buffer.concat([hello, extension])
    longer.writeUInt16BE(longer.readUInt16BE(3) + extension.length, 3)
    longer.writeUIntBE(longer.readUIntBE(6, 3) + extension.length, 6, 3)
    let at = 9 + 2 + 32
    at += 1 + longer[at]!
    at += 2 + longer.readUInt16BE(at)
    at += 1 + longer[at]!
    longer.writeUInt16BE(longer.readUInt16BE(at) + extension.length, at)
    const socket = call()
    socket.write(longer)
    assert.equal(await heard(socket, text => text.endsWith('\n')), `one ${longer.length}\n`)
    socket.destroy()
  })

  test('a name that nobody has, and none, are refused in TLS; what is not TLS is broken off; each is counted', async () => {
    const before = countOf('no-route')
    for (const servername of ['three.test', 'two.test', '']) {
      const socket = call()
      socket.write(await helloOf({ servername }))
      assert.deepEqual(Buffer.from(await heard(socket, () => false), 'latin1'), Buffer.from([21, 3, 3, 0, 2, 2, 112]), servername)
      socket.destroy()
    }
    const socket = call()
    socket.write('GET / HTTP/1.1\r\n\r\n')
    await assert.rejects(
      heard(socket, () => false),
      { code: 'ECONNRESET' },
    )
    assert.equal(countOf('no-route') - before, 4)
  })

  test('where there is a place for all others, they go there as they are', async () => {
    outside.swap({ listeners: { out: { ...byName, backends: [{ backend: 'default/two:80', weight: 1 }] } } })
    const socket = call()
    socket.write('not TLS at all')
    assert.equal(await heard(socket, text => text.endsWith('\n')), 'two 14\n')
    socket.destroy()
    outside.swap({ listeners: { out: byName } })
  })

  test('a listener says how long nothing may pass', async () => {
    const before = countOf('idle-timeout')
    outside.swap({ listeners: { out: { ...byName, idleMs: 150 } } })
    const socket = call()
    socket.write(await helloOf({ servername: 'one.test' }))
    assert.match(await heard(socket, () => false), /^one /)
    socket.destroy()
    while (countOf('idle-timeout') === before) await pause(5)
    outside.swap({ listeners: { out: byName } })
  })

  test('the connection is counted with the server that took it', async () => {
    const text = outside.core.meter.registry.text()
    for (const name of ['one', 'two'])
      assert.match(text, new RegExp(`weft_tcp_connections_opened_total\\{[^}]*destination_identity="${identityOf(name)}"`))
  })
})

describe('connections to hosts outside the mesh', () => {
  for (const host of ['127.0.0.1', '::1'])
    test(`reach ${host} as they are, break off where it breaks off or refuses, and are counted by place`, async t => {
      const server = net.createServer(socket => {
        socket.on('error', () => {})
        socket.on('data', bytes => (String(bytes) === 'break' ? socket.resetAndDestroy() : socket.end(`heard ${String(bytes)}`)))
      })
      const isThere = await new Promise<boolean>(resolve => server.once('error', () => resolve(false)).listen(0, host, () => resolve(true)))
      if (!isThere) return t.skip(`this machine has no ${host}`)
      const port = portOf(server)
      const { shop } = await materials('shop')
      await using outside = await outboundSide('shop', shop!, 'detect', {})
      const to = { host, port }
      const front = await listen('127.0.0.1', 0, socket => outside.core.outbound(socket, to))
      const call = () => net.connect({ port: front.port, host: '127.0.0.1', allowHalfOpen: true })
      const polite = call()
      polite.write('hello')
      assert.equal(await heard(polite, () => false), 'heard hello')
      polite.end()
      const broken = call()
      broken.write('break')
      await assert.rejects(
        heard(broken, () => false),
        { code: 'ECONNRESET' },
      )
      server.close()
      await assert.rejects(
        heard(call(), () => false),
        { code: 'ECONNRESET' },
      )
      const place = host === '::1' ? `[::1]:${port}` : `${host}:${port}`
      const closed = () =>
        outside.core.meter.registry
          .text()
          .split('\n')
          .filter(line => line.startsWith('weft_tcp_connections_closed_total') && line.includes(`destination_workload="${place}"`))
      const reasons = () => closed().map(line => /reason="([^"]*)"/.exec(line)![1])
      while (closed().length < 3) await pause(5)
      assert.deepEqual(reasons().sort(), ['', 'connect-refused', 'upstream-reset'])
      front.stop()
    })
})
