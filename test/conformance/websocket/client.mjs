// The cases with the package ws. argv: its folder, the URL. A line for each: `passed NAME` or `FAILED NAME: why`.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
const [, , folder, url] = process.argv
const { WebSocket } = createRequire(`${folder}/`)('ws')

const open = async options => {
  const socket = new WebSocket(url, { maxPayload: 64 << 20, ...options })
  await once(socket, 'open')
  return socket
}
const next = async socket => {
  const [data, isBinary] = await once(socket, 'message')
  return isBinary ? data : data.toString()
}
const cases = {
  async echo(socket) {
    socket.send('héllo')
    assert.equal(await next(socket), 'héllo')
    socket.send(Buffer.from([0, 1, 255]))
    assert.deepEqual(await next(socket), Buffer.from([0, 1, 255]))
  },
  async fragmentation(socket) {
    for (const [part, fin] of [['one ', false], ['two ', false], ['three', true]]) socket.send(part, { fin })
    assert.equal(await next(socket), 'one two three')
  },
  async 'ping and pong, both ways'(socket) {
    socket.ping('xyz')
    assert.equal(String((await once(socket, 'pong'))[0]), 'xyz')
    socket.send('ping me')
    assert.equal(await next(socket), 'pong of abc')
  },
  async 'close code of the server'(socket) {
    socket.send('close 4321 so long')
    const [code, reason] = await once(socket, 'close')
    assert.deepEqual([code, String(reason)], [4321, 'so long'])
  },
  async 'close code of the client'(socket) {
    socket.close(3001, 'enough')
    assert.equal((await once(socket, 'close'))[0], 3001)
  },
  async '16 MB'(socket) {
    const big = Buffer.alloc(16 << 20, 'weft')
    socket.send(big)
    assert.ok(big.equals(await next(socket)))
  },
  async 'per-message deflate untouched'(socket) {
    assert.equal(socket.extensions, 'permessage-deflate')
    const text = 'compressible '.repeat(80_000)
    socket.send(text, { compress: true })
    assert.equal(await next(socket), text)
    socket.send('extensions')
    assert.equal(await next(socket), 'permessage-deflate')
  },
  async 'without extensions'(socket) {
    assert.equal(socket.extensions, '')
    socket.send('plain')
    assert.equal(await next(socket), 'plain')
  },
}
for (const [name, act] of Object.entries(cases)) {
  try {
    const socket = await open({ perMessageDeflate: name !== 'without extensions' })
    await act(socket)
    socket.terminate()
    console.log(`passed ${name}`)
  } catch (error) {
    console.log(`FAILED ${name}: ${String(error.message).split('\n')[0]}`)
  }
}
