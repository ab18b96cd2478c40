/** Of the machine that tests run on: its addresses, free ports, processes, and a server outside the mesh. */

import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import net from 'node:net'
import { networkInterfaces } from 'node:os'

/** An IPv4 address of this machine other than loopback. */
export function outsideAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap(each => each ?? [])
  return all.find(({ internal, family }) => !internal && family === 'IPv4')?.address
}

/** An HTTP server outside the mesh. */
export async function served(host: string): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((_, response) => response.end('outside'))
  await once(server.listen(0, host), 'listening')
  const close = async () => {
    server.closeAllConnections()
    await new Promise(done => server.close(done))
  }
  return { port: (server.address() as net.AddressInfo).port, [Symbol.asyncDispose]: close }
}

/** Of loopback; somebody else may take it meanwhile, so use it soon. */
export async function freePort(): Promise<number> {
  const server = net.createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as net.AddressInfo
  await new Promise(done => server.close(done))
  return port
}

/** The one process that a process has started. */
export function childOf(pid: number): number {
  const children = readdirSync(`/proc/${pid}/task`).flatMap(task =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' '),
  )
  return Number(children.find(child => child !== ''))
}

/** Not a zombie either. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
