/** Asks a port of the workload whether it serves: a connection, or an HTTP answer from 200 to 399. */

import type { Socket } from '#io/net'
import { clientCodec } from '#wire/http1'
import type { Probe } from '#xds/rpcs'

/** Rejects, within probe.timeoutMs, when it does not serve. */
export async function askReadiness(
  { port, check, timeoutMs }: Pick<Probe, 'port' | 'check' | 'timeoutMs'>,
  dial: (port: number, options: { timeoutMs: number }) => Promise<Socket>,
): Promise<void> {
  const socket = await dial(port, { timeoutMs })
  try {
    if (check.type === 'http') await askHttp(socket, check.path, timeoutMs)
  } finally {
    socket.destroy()
  }
}

function askHttp(socket: Socket, path: string, timeoutMs: number): Promise<void> {
  const codec = clientCodec()
  codec.send({
    type: 'request',
    head: { method: 'GET', target: path, minor: 1, fields: ['host', 'localhost', 'user-agent', 'weft-readiness'] },
    length: 0,
    close: true,
  })
  codec.send({ type: 'end' })
  for (const bytes of codec.drain()) socket.write(bytes)
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    const settle = (error?: Error) => {
      clearTimeout(timer)
      if (error === undefined) resolve()
      else reject(error)
    }
    socket.on('data', (bytes: Uint8Array) => {
      for (const event of codec.receive(bytes)) {
        if (event.type === 'response')
          settle(event.head.status >= 200 && event.head.status < 400 ? undefined : new Error(`answered ${event.head.status}`))
        if (event.type === 'failed') settle(new Error(event.failure.says))
      }
    })
    socket.on('error', settle)
    socket.on('close', () => settle(new Error('closed without an answer')))
    socket.resume()
  })
}
