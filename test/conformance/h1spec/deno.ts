/** As much of Deno as the list of uNetworking asks for, so that Node runs it unchanged. */

import { once } from 'node:events'
import net from 'node:net'
import process from 'node:process'

type Connection = { write(bytes: Uint8Array): Promise<number>; read(into: Uint8Array): Promise<number | null>; close(): void }

async function connect({ hostname, port }: { readonly hostname: string; readonly port: number }): Promise<Connection> {
  const socket = net.connect({ host: hostname, port, allowHalfOpen: true })
  await once(socket, 'connect')
  socket.on('error', () => {})
  // As in Deno, a connection that nobody reads does not keep the program running.
  socket.unref()
  let isClosed = false
  return {
    write: bytes => new Promise((resolve, reject) => socket.write(bytes, error => (error ? reject(error) : resolve(bytes.length)))),
    async read(into) {
      socket.ref()
      if (socket.readableLength === 0) await Promise.race([once(socket, 'readable'), once(socket, 'close')])
      const got = socket.read() as Buffer | null
      socket.unref()
      if (got === null && isClosed) throw new Error('closed here')
      if (got === null) return null
      into.set(got.subarray(0, into.length))
      return Math.min(got.length, into.length)
    },
    close: () => {
      isClosed = true
      socket.destroy()
    },
  }
}

Object.assign(globalThis, { Deno: { args: process.argv.slice(2), exit: (code: number) => process.exit(code), connect } })
