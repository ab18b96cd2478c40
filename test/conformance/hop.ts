/** One plain proxy in front of a server that echoes whatever body it gets, for suites that judge a server: `bench/half hop`. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import type net from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const half = join(import.meta.dirname, '../../bench/half')

export type Hop = AsyncDisposable & { readonly port: number }

/** version: of HTTP that the server behind it speaks; over 1 it echoes, over 2 it answers at once with a body. */
export async function startHop(version: 1 | 2 = 1): Promise<Hop> {
  const server = await (version === 1 ? startEcho() : startHttp2())
  const child = spawn(half, ['hop', '--listen', '0', '--to', String(server.port), '-o', 'json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const port = await portOf(child)
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill()
      if (child.exitCode === null) await once(child, 'exit')
      await server[Symbol.asyncDispose]()
    },
  }
}

async function portOf(child: ChildProcess): Promise<number> {
  for await (const line of createInterface({ input: child.stdout! }))
    return (JSON.parse(line) as { readonly listeners: readonly { readonly port: number }[] }).listeners[0]!.port
  throw new Error('bench/half hop ended before it listened')
}

async function startEcho(): Promise<Hop> {
  const server = http.createServer(async (request, response) => {
    const pieces = await request.toArray().catch(() => undefined)
    if (pieces === undefined) return // given up by its client
    const body = Buffer.concat(pieces)
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length })
    response.end(body)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

async function startHttp2(): Promise<Hop> {
  const body = Buffer.from('answered at once\n'.repeat(20))
  const sessions = new Set<http2.ServerHttp2Session>()
  const server = http2.createServer()
  server.on('session', session => {
    sessions.add(session)
    session.on('error', () => {}).on('close', () => sessions.delete(session))
  })
  server.on('stream', (stream: http2.ServerHttp2Stream) => {
    stream.on('error', () => {})
    stream.resume()
    stream.respond({ ':status': 200, 'content-type': 'text/plain', 'content-length': body.length })
    stream.end(body)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy()
      server.close()
    },
  }
}
