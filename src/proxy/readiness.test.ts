import assert from 'node:assert/strict'
import { createServer as createHttp2Server } from 'node:http2'
import { connect, type AddressInfo } from 'node:net'
import process from 'node:process'
import { test } from 'node:test'
import { runShort } from '../io/process.ts'
import { askReadiness } from './readiness.ts'

const ways = {
  dial: async (port: number) => {
    const socket = connect(port, '127.0.0.1')
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return socket
  },
  run: (command: readonly string[], timeoutMs: number) => runShort(command, { env: process.env, cwd: '/' }, timeoutMs),
}

test('a command is asked by how it ends: with 0, with another code, too late or not at all', async () => {
  const ask = (command?: readonly string[]) => askReadiness({ port: 1, check: { type: 'command' }, timeoutMs: 500 }, ways, command)
  await ask(['/bin/sh', '-c', 'true'])
  await assert.rejects(ask(['/bin/sh', '-c', 'exit 3']), /ended with 3/)
  const began = performance.now()
  await assert.rejects(ask(['/bin/sh', '-c', 'sleep 60 | sleep 60']), /did not end within 500 ms/)
  assert.ok(performance.now() - began < 20_000)
  await assert.rejects(ask(['/no/such/program']), /ended with 127/)
  await assert.rejects(ask(), /was given no command/)
})

test('a server of gRPC is asked by its health service, for the service that is named', async t => {
  const server = createHttp2Server((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (bytes: Buffer) => parts.push(bytes))
    request.on('end', () => {
      response.writeHead(200, { 'content-type': 'application/grpc' })
      response.addTrailers({ 'grpc-status': '0' })
      response.end(Buffer.of(0, 0, 0, 0, 2, 8, Buffer.concat(parts).includes('shop.Cart') ? 2 : 1))
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const ask = (service: string) => askReadiness({ port, check: { type: 'grpc', service }, timeoutMs: 5_000 }, ways)
  await ask('')
  await assert.rejects(ask('shop.Cart'), /not-serving: NOT_SERVING/)
})
