/**
 * Listening sockets that one process owns and others accept on. Node can pass them over the channel of a child process, but has no documented
 * way to own one without accepting on it, so this file, and no other, touches its raw handles.
 */

import net from 'node:net'
import { getSystemErrorName } from 'node:util'
import { acceptOptions, type Listening, listenError, serverOf, type Socket } from '../net.ts'

/** A bound TCP socket without an owner in JavaScript: nothing is accepted on it here, connections wait in its queue once anybody has listened on it. */
export type Handle = { close(): void; getsockname(into: { address?: string; port?: number }): number }

type Inner = { _createServerHandle(host: string | null, port: number, family: 4 | 6, fd: number): Handle | number }

/** host: an IP address. port 0: any free one. Throws a sentence that names the port and what to do. */
export function openHandle(host: string, port: number): { readonly handle: Handle; readonly port: number } {
  const family = net.isIP(host)
  if (family === 0) throw new Error(`cannot listen on ${host}:${port}: workers need an address, not a name; write 127.0.0.1 for localhost`)
  const made = (net as unknown as Inner)._createServerHandle(host, port, family as 4 | 6, -1)
  const bound: { port?: number } = {}
  // A port in use is told of by getsockname only: libuv holds what bind said back.
  const failed = typeof made === 'number' ? made : made.getsockname(bound)
  if (failed !== 0) {
    if (typeof made !== 'number') made.close()
    const code = getSystemErrorName(failed)
    throw listenError(Object.assign(new Error(code), { code }), host, port)
  }
  return { handle: made as Handle, port: bound.port! }
}

/** The socket that this process accepts on itself: to be passed on, not to be closed. */
export function handleOf(listening: Listening): Handle {
  const { _handle: handle } = serverOf(listening) as unknown as { _handle: Handle | null }
  if (handle === null) throw new Error(`${listening.host}:${listening.port} was closed already`)
  return handle
}

/** Accepts on a socket that another process owns; `stop` gives up this process's part only. */
export function acceptOn(handle: Handle, host: string, port: number, onSocket: (socket: Socket) => void): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const server = net.createServer(acceptOptions, onSocket)
    server.once('error', error => reject(listenError(error, host, port)))
    server.listen(handle as unknown as net.ListenOptions, () => {
      server.on('error', () => {}) // a failed accept is the peer's loss; the listener goes on
      const stop = () => server.close()
      resolve({ host, port, stop, [Symbol.asyncDispose]: () => new Promise<void>(done => server.close(() => done())) })
    })
  })
}
