import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { inboundSide, materials, outboundSide, remote } from '../../../test/harness/pair.ts'
import type { Backend } from '../../model/backend.ts'
import type { View } from '../../model/view.ts'

const portOf = (server: net.Server): number => (server.address() as AddressInfo).port
const withPolicy = (parts: Pick<View, 'backends' | 'endpoints'>, policy: Partial<Backend>): Pick<View, 'backends' | 'endpoints'> => ({
  ...parts,
  backends: Object.fromEntries(Object.entries(parts.backends).map(([name, backend]) => [name, { ...backend, ...policy }])),
})
/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  return port
}

test('of opaque connections too there are no more than the policy allows, and one that ends makes room', async () => {
  const certificates = await materials('mail', 'shop')
  const server = net.createServer(socket => void socket.on('error', () => {}).write('hello')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const inside = await inboundSide('mail', portOf(server), 'tcp', certificates.mail!)
  const parts = withPolicy(remote('mail', [inside.port], { protocol: 'tcp' }), { limits: { connections: 2 } })
  const outside = await outboundSide('shop', certificates.shop!, 'tcp', parts)
  const opened: net.Socket[] = []
  const greeting = async (): Promise<string> => {
    const socket = net.connect(outside.port, '127.0.0.1')
    opened.push(socket)
    return new Promise(resolve => {
      socket.once('data', bytes => resolve(String(bytes))).once('close', () => resolve('broken off'))
      socket.on('error', () => {})
    })
  }
  assert.deepEqual([await greeting(), await greeting(), await greeting()], ['hello', 'hello', 'broken off'])
  opened[0]!.destroy()
  for (let left = 100; (await greeting()) !== 'hello'; left--) {
    assert.ok(left > 0, 'no room within a second')
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  const reasons = outside.core.meter.registry.families
    .filter(({ name }) => name === 'weft_tcp_connections_closed_total')
    .flatMap(({ samples }) => [...samples.values()].map(({ labels }) => labels.at(-1)))
  assert.ok(reasons.includes('backend-limit'), reasons.join())
  for (const socket of opened) socket.destroy()
  await outside[Symbol.asyncDispose]()
  await inside.core[Symbol.asyncDispose]()
  server.close()
})

test('an endpoint that takes no connections is left out for a while, so that nobody waits for it', async () => {
  const certificates = await materials('web', 'shop')
  const server = http.createServer((_request, response) => response.end('well')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const inside = await inboundSide('web', portOf(server), 'http', certificates.web!)
  const parts = withPolicy(remote('web', [await deadPort(), inside.port]), {
    outlierDetection: {
      consecutive5xx: 0,
      consecutiveGatewayErrors: 0,
      consecutiveLocalOriginFailures: 2,
      splitsLocalOrigin: true,
      intervalMs: 10_000,
      baseEjectionMs: 60_000,
      maxEjectionMs: 60_000,
      maxEjectionPercent: 50,
    },
  })
  const outside = await outboundSide('shop', certificates.shop!, 'http', parts)
  for (let count = 0; count < 10; count++) assert.equal(await (await fetch(`http://127.0.0.1:${outside.port}`)).text(), 'well')
  assert.equal(outside.core.leftOut[0]?.endpoints.length, 1)
  await outside[Symbol.asyncDispose]()
  await inside.core[Symbol.asyncDispose]()
  server.closeAllConnections()
  server.close()
})

test('with HTTP/1 at the endpoint what needs one more connection is refused at once', async () => {
  const certificates = await materials('shop')
  let arrived = 0
  const held: http.ServerResponse[] = []
  const server = http.createServer((_request, response) => void (++arrived && held.push(response))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const parts = withPolicy(remote('web', [portOf(server)], { mtls: false }), { limits: { connections: 2 } })
  const outside = await outboundSide('shop', certificates.shop!, 'http', parts)
  const ask = async () => {
    const answer = await fetch(`http://127.0.0.1:${outside.port}`)
    await answer.text()
    return `${answer.status} ${answer.headers.get('x-weft-error') ?? ''}`.trim()
  }
  const slow = [ask(), ask()]
  while (arrived < 2) await new Promise(resolve => setTimeout(resolve, 5))
  assert.equal(await ask(), '503 backend-limit')
  for (const response of held) response.end()
  assert.deepEqual(await Promise.all(slow), ['200', '200'])
  await outside[Symbol.asyncDispose]()
  server.closeAllConnections()
  server.close()
})
