import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { listeningAt } from './listeners.ts'

test('addresses are read as the kernel writes them', () => {
  const head = '  sl  local_address rem_address   st\n'
  const files: Record<string, string> = {
    '/proc/net/tcp': `${head}   0: 0100007F:1F90 00000000:0000 0A 0 0 0\n   1: 00000000:0050 00000000:0000 0A 0\n   2: 0500000A:0051 00000000:0000 01 0\n   3: 0500000A:0052 00000000:0000 0A 0\n`,
    '/proc/net/tcp6': `${head}   0: 00000000000000000000000000000000:0053 0:0 0A\n   1: 00000000000000000000000001000000:0054 0:0 0A\n   2: 0000000000000000FFFF00000100007F:0055 0:0 0A\n   3: B80D0120000000000000000001000000:0056 0:0 0A\n`,
  }
  assert.deepEqual(
    listeningAt(file => files[file]!).map(({ address, port, isLoopback }) => `${address} ${port} ${isLoopback}`),
    [
      '127.0.0.1 8080 true',
      '0.0.0.0 80 false',
      '10.0.0.5 82 false',
      ':: 83 false',
      '::1 84 true',
      '127.0.0.1 85 true',
      '2001:0db8:0000:0000:0000:0000:0000:0001 86 false',
    ],
  )
  assert.deepEqual(
    listeningAt(() => {
      throw new Error('not here')
    }),
    [],
  )
})

test('a port that is open now is among them', { skip: process.platform === 'linux' ? false : 'only Linux tells it so' }, async () => {
  const server = net.createServer().listen(0, '0.0.0.0')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as net.AddressInfo
  try {
    assert.ok(listeningAt().some(each => each.port === port && each.address === '0.0.0.0' && !each.isLoopback))
  } finally {
    server.close()
  }
})
