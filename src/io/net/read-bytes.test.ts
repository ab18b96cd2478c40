import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { materials } from '../../../test/harness/pair.ts'
import { secureAcceptor, secureClient, secureContext } from '../net.ts'
import { readBytes } from './read-bytes.ts'

const servers: net.Server[] = []
after(() => servers.forEach(server => server.close()))

const hashOf = (pieces: readonly Uint8Array[]): string => {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest('hex')
}

async function joined(): Promise<{ near: net.Socket; far: net.Socket }> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  const near = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [far] = (await once(server, 'connection')) as [net.Socket]
  return { near, far }
}

/** Pieces of very different sizes, of which what is read stays as it is while more is read. */
async function check(near: net.Socket, far: net.Socket): Promise<void> {
  const sent = Array.from({ length: 300 }, (_, at) => randomBytes(at % 7 === 0 ? 150_000 : (at * 37) % 5_000))
  const read: Uint8Array[] = []
  readBytes(far, bytes => {
    read.push(bytes)
    if (read.length % 50 !== 0) return
    far.pause()
    setImmediate(() => far.resume())
  })
  far.resume()
  for (const piece of sent) if (!near.write(piece)) await once(near, 'drain')
  near.end()
  await once(far, 'end')
  far.end()
  assert.equal(hashOf(read), hashOf(sent))
}

test('what is read is whole and stays as it is, through pauses and in sizes from a few bytes to many', async () => {
  const { near, far } = await joined()
  await check(near, far)
})

test('what was put back before comes first', async () => {
  const { near, far } = await joined()
  far.unshift(Buffer.from('first '))
  const read: Uint8Array[] = []
  readBytes(far, bytes => read.push(bytes))
  far.resume()
  near.end('second')
  await once(far, 'end')
  far.end()
  assert.equal(Buffer.concat(read).toString(), 'first second')
})

test('two sockets do not get bytes of each other', async () => {
  const pairs = await Promise.all([joined(), joined(), joined()])
  await Promise.all(pairs.map(({ near, far }) => check(near, far)))
})

test('under TLS as well', async () => {
  const { web, shop } = await materials('web', 'shop')
  const { near, far } = await joined()
  const taken = new Promise<net.Socket>(resolve => secureAcceptor(web!, [], resolve, assert.fail).accept(far))
  const secure = secureClient(near, secureContext(shop!), [], 'web')
  await once(secure, 'secureConnect')
  await check(secure, await taken)
})
