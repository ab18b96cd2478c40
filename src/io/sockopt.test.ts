import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import net from 'node:net'
import { test } from 'node:test'
import { closeFd, connectFd, makeListener, makeSocket, originalDestination, SystemCallFailed, socketAddress } from './sockopt.ts'

const linux = process.platform === 'linux' ? false : 'the calls are those of Linux'

test('socket addresses have the layout of the kernel', () => {
  assert.equal(socketAddress('127.0.0.1', 8080).toString('hex'), '02001f907f0000010000000000000000')
  assert.equal(socketAddress('::1', 80).toString('hex'), `0a00005000000000${'0'.repeat(31)}100000000`)
  assert.equal(socketAddress('::ffff:127.0.0.1', 80).subarray(8, 24).toString('hex'), '00000000000000000000ffff7f000001')
  assert.equal(socketAddress('2001:db8::ab', 80).subarray(8, 24).toString('hex'), '20010db80000000000000000000000ab')
  assert.equal(socketAddress('1:2:3:4:5:6:7:8', 80).subarray(8, 24).toString('hex'), '00010002000300040005000600070008')
})

test('a socket made by number connects to a listener made by number, and a closed port is refused within the call', {
  skip: linux,
}, async () => {
  const server = net.createServer(socket => socket.end('hello'))
  await new Promise<void>(done => server.listen({ fd: makeListener('tcp', '127.0.0.1', 0) }, done))
  const { port } = server.address() as net.AddressInfo
  const fd = makeSocket(false)
  assert.equal(connectFd(fd, socketAddress('127.0.0.1', port)), 'connected')
  const socket = new net.Socket({ fd, readable: true, writable: true })
  const [reply] = (await socket.toArray()) as Buffer[]
  assert.equal(reply?.toString(), 'hello')
  await new Promise(done => server.close(done))
  const late = makeSocket(false)
  const refused = connectFd(late, socketAddress('127.0.0.1', port))
  closeFd(late)
  assert.ok(refused instanceof SystemCallFailed && refused.code === 'ECONNREFUSED')
})

test('a connection that was not redirected has no original destination', { skip: linux }, async () => {
  const server = net.createServer()
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const accepted = new Promise<net.Socket>(done => server.once('connection', done))
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1')
  const socket = await accepted
  assert.equal(originalDestination(socket), undefined)
  client.destroy()
  socket.destroy()
  server.close()
})

test('a port that is taken is told with its address', { skip: linux }, async () => {
  const server = net.createServer()
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as net.AddressInfo
  assert.throws(() => makeListener('tcp', '127.0.0.1', port), { code: 'EADDRINUSE', message: `bind EADDRINUSE 127.0.0.1:${port}` })
  server.close()
})

test('flows to one place have a port each: no two hear the same answers', { skip: linux }, async () => {
  await using sockets = new AsyncDisposableStack()
  const ports = new Set<number>()
  for (let made = 0; made < 800; made++) {
    const socket = sockets.adopt(dgram.createSocket('udp4'), socket => void socket.close())
    await new Promise<void>(done => socket.bind({ fd: makeListener('flow', '127.0.0.1', 0) }, done))
    ports.add(socket.address().port)
  }
  assert.equal(ports.size, 800)
})
