import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import type { Entry } from '../telemetry/entry.ts'
import { Downstream } from './downstream.ts'
import { forwardTo, inboundSide, materials, outboundSide, remote, table } from '../../../test/harness/pair.ts'

test('a caller that ends in the middle of its body leaves no connection to the workload behind', async () => {
  const open = new Set<net.Socket>()
  let arrived = 0
  const workload = net.createServer(socket => {
    arrived++
    open.add(socket)
    socket.on('error', () => {}).resume()
    socket.once('close', () => open.delete(socket))
  })
  await new Promise<void>(done => workload.listen(0, '127.0.0.1', done))
  const made = await materials('caller', 'target')
  const inner = await inboundSide('target', (workload.address() as net.AddressInfo).port, 'http', made['target']!)
  const parts = remote('target', [inner.port])
  const backend = Object.keys(parts.backends)[0]!
  await using outer = await outboundSide('caller', made['caller']!, 'http', {
    ...parts,
    routes: { out: table('out', [forwardTo(backend)]) },
  })
  for (let nth = 0; nth < 5; nth++) {
    const socket = net.connect(outer.port, '127.0.0.1').on('error', () => {})
    socket.write('POST / HTTP/1.1\r\nhost: target\r\ncontent-length: 100000\r\n\r\nbegun')
    const end = performance.now() + 5000
    while (arrived <= nth && performance.now() < end) await new Promise(resolve => setTimeout(resolve, 5))
    socket.destroy()
  }
  assert.equal(arrived, 5)
  const end = performance.now() + 5000
  while (open.size > 0 && performance.now() < end) await new Promise(resolve => setTimeout(resolve, 10))
  assert.equal(open.size, 0)
  workload.close()
  await inner.core[Symbol.asyncDispose]()
})

test('a head that comes byte by byte has as long as one that does not come at all', async t => {
  let now = 0
  t.mock.method(performance, 'now', () => now)
  const server = net.createServer()
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const accepted = new Promise<net.Socket>(done => server.once('connection', done))
  const caller = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  try {
    const socket = await accepted
    const listener = { name: 'edge', direction: 'gateway', host: '', port: 0, protocol: 'http', service: 'edge' } as const
    const entry = { listener, view: () => ({ listeners: {}, routes: {} }), peer: undefined, source: {} } as unknown as Entry
    const downstream = new Downstream(socket, () => entry, { begin: () => {}, done: () => {} } as never)
    let bytes = 0
    const comes = async (text: string, at: number): Promise<void> => {
      now = at
      caller.write(text)
      bytes += text.length
      while (socket.bytesRead < bytes) await new Promise(resolve => setImmediate(resolve))
      downstream.sweep(now)
    }
    const answer = new Promise<string>(resolve => caller.once('data', part => resolve(String(part))))
    await comes('GET / HTTP/1.1\r\n', 0)
    for (let at = 10_000; at <= 60_000; at += 10_000) await comes('X', at)
    assert.equal(socket.writableEnded, false)
    await comes('X', 61_000)
    assert.match(await answer, /^HTTP\/1.1 408 /)
  } finally {
    caller.destroy()
    server.close()
  }
})
