import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { type Holder, KeptBuffers, keptBuffers } from './kept-buffers.ts'
import { pour } from './pour.ts'

test('there are so many buffers and no more; who does not use one gives it up when another needs it', () => {
  const kept = new KeptBuffers()
  const busy: Holder = { yieldIdle: () => {} }
  const taken = Array.from({ length: 63 }, () => kept.take(busy)!)
  let own: Buffer | undefined
  const idle: Holder = {
    yieldIdle: () => {
      if (own !== undefined) kept.give(own)
      own = undefined
      kept.leave(idle)
    },
  }
  own = kept.take(idle)
  assert.ok(own !== undefined && new Set([...taken, own]).size === 64)
  const wanted = kept.take(busy)
  assert.ok(wanted !== undefined)
  assert.equal(own, undefined)
  assert.equal(kept.take(busy), undefined)
  kept.give(wanted)
  assert.equal(kept.take(busy), wanted)
  kept.lose()
  assert.notEqual(kept.take(busy), undefined)
})

test('without a buffer to be had, a relay passes everything in small pieces', async () => {
  const busy: Holder = { yieldIdle: () => {} }
  const all: Buffer[] = []
  for (let one; (one = keptBuffers.take(busy)) !== undefined; ) all.push(one)
  const sent = randomBytes(5_000_000)
  const hash = createHash('sha256')
  const target = net.createServer({ allowHalfOpen: true }, socket => socket.on('data', (bytes: Buffer) => hash.update(bytes)))
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  const relay = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, socket => {
    const to = net.connect({ port: (target.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
    to.once('connect', () => pour(socket, to, { value: 0 }))
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  const caller = net.connect((relay.address() as AddressInfo).port, '127.0.0.1')
  caller.end(sent)
  const [end] = (await once(target, 'connection')) as [net.Socket]
  await once(end, 'end')
  assert.equal(hash.digest('hex'), createHash('sha256').update(sent).digest('hex'))
  caller.destroy()
  end.destroy()
  relay.close()
  target.close()
  for (const one of all) keptBuffers.give(one)
})
