/** Servers for the tests of protocols: one of ours that echoes over HTTP/1 and HTTP/2 on one port, and programs of others in a folder of their own. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'

export type Serving = AsyncDisposable & { readonly port: number }

/** Answers what it got: the body, its length as a field, and the version it came in. */
export async function startEcho(): Promise<Serving> {
  const one = http.createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray())
    response.writeHead(200, { 'x-version': '1.1', 'content-length': body.length }).end(body)
  })
  const two = http2.createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray())
    response.writeHead(200, { 'x-version': '2' }).end(body)
  })
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    // The connection preface of HTTP/2 begins as no method does.
    socket.once('data', first => {
      socket.pause()
      socket.unshift(first)
      // The one reads what is buffered by itself, and what flowed before it looked would be lost to it.
      if (first.toString('latin1', 0, 3) === 'PRI') return void two.emit('connection', socket)
      one.emit('connection', socket)
      socket.resume()
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** command: in the foreground. Resolves when the port takes connections; rejects with what it said when it does not. */
export async function startProgram(port: number, [file = '', ...args]: readonly string[], cwd: string): Promise<Serving> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', piece => (said += String(piece)))
  for (let tries = 0; tries < 1200 && child.exitCode === null; tries++) {
    if (await answers(port)) return { port, [Symbol.asyncDispose]: () => stop(child) }
    await new Promise(done => setTimeout(done, 25))
  }
  await stop(child)
  throw new Error(`${file} does not listen on ${port}: ${said.trim().slice(-1000)}`)
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const over = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
  await over
  clearTimeout(timer)
}

const answers = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
