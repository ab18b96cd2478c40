import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { materials } from '../../../test/harness/pair.ts'
import { dialTcp, listen, secureAcceptor, secureClient, secureContext, type Socket, type TlsMaterial } from '../../io/net.ts'
import { carry, type Counts, type Ended } from './tcp.ts'

const mixed = randomBytes(3_000_000)

/** Writes pieces of all sizes, small ones and large ones in turns, as fast as the socket takes them. Resolves with their hash. */
async function writeMixed(socket: net.Socket, bytes: number): Promise<string> {
  const hash = createHash('sha256')
  for (let at = 0, nth = 0; at < bytes; nth++) {
    const size = Math.min(bytes - at, nth % 40 < 30 ? 1 + ((nth * 7919) % 3000) : 50_000 + ((nth * 104_729) % 900_000))
    const from = (nth * 31_337) % 1_000_000
    const piece = mixed.subarray(from, from + size)
    hash.update(piece)
    at += size
    if (!socket.write(piece)) await once(socket, 'drain')
  }
  return hash.digest('hex')
}

async function hashOf(socket: net.Socket): Promise<string> {
  const hash = createHash('sha256')
  socket.on('data', (bytes: Buffer) => hash.update(bytes)).resume()
  await once(socket, 'end')
  return hash.digest('hex')
}

type Line = AsyncDisposable & {
  /** The two ends of a carried connection. */
  readonly caller: net.Socket
  readonly server: net.Socket
  readonly counts: Counts
  readonly ended: Promise<Ended>
}

/** caller ── relay ── server; the secured halves have TLS between an outer and an inner relay. */
async function line(secured: TlsMaterial | undefined, idleMs = 0): Promise<Line> {
  const owned = new AsyncDisposableStack()
  const servers: net.Socket[] = []
  const app = net.createServer({ allowHalfOpen: true }, socket => servers.push(socket.on('error', () => {})))
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  owned.defer(() => void app.close())
  const counts = { sent: { value: 0 }, received: { value: 0 } }
  const ends: Promise<Ended>[] = []
  const relay = async (socket: Socket, to: Socket, event: string, seen: Counts) => {
    socket.on('error', () => {})
    await once(to, event)
    ends.push(carry(socket, to, seen, idleMs))
  }
  let port = (app.address() as AddressInfo).port
  if (secured !== undefined) {
    const inner = port
    const acceptor = secureAcceptor(
      secured,
      [],
      socket => void relay(socket, dialTcp('127.0.0.1', inner), 'connect', { sent: { value: 0 }, received: { value: 0 } }),
      assert.fail,
    )
    const listening = await listen('127.0.0.1', 0, socket => acceptor.accept(socket))
    owned.defer(() => listening.stop())
    port = listening.port
  }
  const outer = await listen('127.0.0.1', 0, socket => {
    const raw = dialTcp('127.0.0.1', port)
    const to = secured === undefined ? raw : secureClient(raw, secureContext(secured), [], 'app.mesh')
    relay(socket, to, secured === undefined ? 'connect' : 'secureConnect', counts).catch(assert.fail)
  })
  owned.defer(() => outer.stop())
  const caller = net.connect({ port: outer.port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  owned.defer(() => void caller.destroy())
  await once(caller, 'connect')
  while (servers.length === 0) await pause(5)
  while (ends.length < (secured === undefined ? 1 : 2)) await pause(5)
  const server = servers[0]!
  owned.defer(() => void server.destroy())
  return { caller, server, counts, ended: Promise.all(ends).then(all => all.at(-1)!), [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

let material: TlsMaterial
before(async () => {
  material = (await materials('app'))['app']!
})

for (const [way, secured] of [
  ['plain', () => undefined],
  ['with TLS between two relays', () => material],
] as const)
  describe(way, () => {
    test('bytes of all sizes arrive whole, both ways at once, and each half closes by itself', async () => {
      await using carried = await line(secured())
      const { caller, server, counts, ended } = carried
      const there = hashOf(server)
      const back = hashOf(caller)
      const sent = writeMixed(caller, 40_000_000)
      const answered = writeMixed(server, 30_000_000)
      assert.equal(await answered.finally(() => server.end()), await back)
      assert.equal(server.readableEnded, false)
      assert.equal(await sent.finally(() => caller.end()), await there)
      assert.equal(await ended, '')
      assert.deepEqual(counts, { sent: { value: caller.bytesWritten }, received: { value: server.bytesWritten } })
    })

    test('a reader that is slow holds the writer back, and loses nothing', async () => {
      await using carried = await line(secured())
      const { caller, server, counts } = carried
      server.pause()
      const sent = writeMixed(caller, 60_000_000)
      let before = -1
      while (counts.sent.value !== before) {
        before = counts.sent.value
        await pause(300)
      }
      assert.ok(counts.sent.value < 40_000_000, `${counts.sent.value} bytes were read for a reader that reads nothing`)
      const there = hashOf(server)
      assert.equal(await sent.finally(() => caller.end()), await there)
    })

    test('a caller that breaks its connection off breaks that to the server, and the other way round', async () => {
      for (const broken of ['caller', 'server'] as const) {
        await using carried = await line(secured())
        const other = broken === 'caller' ? carried.server : carried.caller
        other.resume()
        const seen = once(other, 'error')
        carried[broken].resetAndDestroy()
        const [error] = (await seen) as [NodeJS.ErrnoException]
        assert.equal(error.code, 'ECONNRESET')
        assert.equal(await carried.ended, broken === 'caller' ? 'caller-gone' : 'upstream-reset')
      }
    })

    test('what the server says before it is asked arrives', async () => {
      await using carried = await line(secured())
      const { caller, server } = carried
      server.write('220 ready\r\n')
      assert.equal(String((await once(caller, 'data'))[0]), '220 ready\r\n')
    })
  })

test('a connection on which nothing passes ends after its time, one on which something passes does not', async () => {
  await using carried = await line(undefined, 400)
  const { caller, server, ended } = carried
  let isOver = false
  void ended.then(() => (isOver = true))
  caller.resume()
  server.on('data', bytes => server.write(bytes))
  for (let nth = 0; nth < 8; nth++) {
    caller.write('x')
    await pause(100)
  }
  assert.equal(isOver, false)
  assert.equal(await ended, 'idle-timeout')
})
