import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { pour } from './pour.ts'
import { readElsewhere, readInto } from './read-into.ts'

async function pair(): Promise<{ near: net.Socket; far: net.Socket } & AsyncDisposable> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const far = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [near] = (await once(server, 'connection')) as [net.Socket]
  return {
    near,
    far,
    [Symbol.asyncDispose]: async () => {
      near.destroy()
      far.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

test('an accepted socket of this Node reads into buffers of ours, and into others when told', async () => {
  await using sockets = await pair()
  const { near, far } = sockets
  const first = Buffer.alloc(100)
  const second = Buffer.alloc(100)
  const elsewhere = Buffer.alloc(100)
  let into = first
  const seen: string[] = []
  const isTaken = readInto(near, {
    take: (size, from) => {
      seen.push(`${from === first ? 'first' : from === second ? 'second' : 'elsewhere'} ${from.toString('latin1', 0, size)}`)
      into = second
      return true
    },
    next: () => into,
  })
  assert.equal(isTaken, true, 'this Node has changed: see read-into.ts')
  near.resume()
  for (const word of ['one', 'two']) {
    far.write(word)
    await pause(30)
  }
  readElsewhere(near, elsewhere)
  far.end('three')
  await once(near, 'end')
  assert.deepEqual(seen, ['first one', 'second two', 'elsewhere three'])
})

test('a socket that cannot read into buffers of ours is relayed all the same', async () => {
  await using from = await pair()
  await using to = await pair()
  Object.defineProperty((from.near as unknown as { _handle: object })._handle, 'useUserBuffer', { value: undefined })
  const count = { value: 0 }
  const whole = to.far.pipe(new PassThrough()).toArray()
  from.far.end(Buffer.alloc(3_000_000, 'w'))
  pour(from.near, to.near, count)
  assert.equal(Buffer.concat((await whole) as Buffer[]).toString(), 'w'.repeat(3_000_000))
  assert.equal(count.value, 3_000_000)
})
