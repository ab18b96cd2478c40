/** Asks the workload whether it serves: by a connection, an HTTP answer from 200 to 399, a call of grpc.health.v1, or a command that ends with 0. */

import type { Socket } from '#io/net'
import { clientCodec } from '#wire/http1'
import type { Probe } from '#xds/rpcs'
import { askCall } from './endpoints/checks.ts'

/** Of the workload: a connection to a port of it, and a command run beside it, which resolves with how it ended. */
type Ways = {
  readonly dial: (port: number, options: { timeoutMs: number }) => Promise<Socket>
  readonly run: (command: readonly string[], timeoutMs: number) => Promise<{ readonly code: number | null }>
}

/** Rejects, within probe.timeoutMs, when it does not serve. command: what is run where the check is one. */
export async function askReadiness(
  { port, check, timeoutMs }: Pick<Probe, 'port' | 'check' | 'timeoutMs'>,
  { dial, run }: Ways,
  command?: readonly string[],
): Promise<void> {
  if (check.type === 'command') return askCommand(command, run, timeoutMs)
  const socket = await dial(port, { timeoutMs })
  try {
    if (check.type === 'http') await askHttp(socket, check.path, timeoutMs)
    if (check.type === 'grpc') await askGrpc(socket, check.service, timeoutMs)
  } finally {
    socket.destroy()
  }
}

async function askCommand(command: readonly string[] | undefined, run: Ways['run'], timeoutMs: number): Promise<void> {
  if (command === undefined) throw new Error('this proxy was given no command to ask by')
  const { code } = await run(command, timeoutMs)
  if (code !== 0) throw new Error(code === null ? `did not end within ${timeoutMs} ms, or by a signal` : `ended with ${code}`)
}

async function askGrpc(socket: Socket, service: string, timeoutMs: number): Promise<void> {
  const verdict = await askCall(socket, service, timeoutMs)
  if (verdict.is === 'failed') throw new Error(`${verdict.reason}: ${verdict.detail}`)
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
