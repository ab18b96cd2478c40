/** One plain proxy in front of a server that echoes whatever body it gets, for suites that judge a server: `bench/half hop`. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type net from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const half = join(import.meta.dirname, '../../bench/half')

export type Hop = AsyncDisposable & { readonly port: number }

/** to: what it leads to; absent: the echo. */
export async function startHop(to?: number): Promise<Hop> {
  const echo = to === undefined ? await startEcho() : undefined
  const child = spawn(half, ['hop', '--listen', '0', '--to', String(to ?? echo!.port), '-o', 'json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const port = await portOf(child)
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill()
      if (child.exitCode === null) await once(child, 'exit')
      await echo?.[Symbol.asyncDispose]()
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
