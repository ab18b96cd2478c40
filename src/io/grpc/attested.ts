/** A gRPC server at a Unix socket, where each caller is judged by what the kernel says of its process. */

import { Server, ServerCredentials } from '@grpc/grpc-js'
import { lstat, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import type { Log } from '#base/log'
import { type PeerProcess, peerProcess } from '../attest.ts'
import { type Credentials, credentialsOf } from '../sockopt.ts'
import type { Door, Service } from './service.ts'
import { RpcError, rpcCodes } from './status.ts'

export type ServeAttested = {
  /** Of the socket; its folder says who may come near it. */
  readonly path: string
  readonly services: readonly Service[]
  /** Whether a process may call: a sentence why not. */
  readonly refuse: (peer: Credentials) => Promise<string | undefined>
  readonly log: Log
}

export type ServeEach = {
  readonly path: string
  /** For one connection, whose other end this is. */
  readonly servicesFor: (peer: PeerProcess) => readonly Service[]
  readonly log: Log
}

/** A server for each connection, that knows which process is at the other end. */
export async function serveEach({ path, servicesFor, log }: ServeEach): Promise<AsyncDisposable> {
  const open = new Map<Socket, Server>()
  const take = (socket: Socket): void => {
    const peer = peerProcess(socket)
    const server = new Server({ 'grpc.enable_channelz': 0 })
    open.set(socket, server)
    socket
      .on('error', () => {})
      .on('close', () => {
        open.delete(socket)
        peer?.close()
        server.forceShutdown()
      })
    if (peer === undefined) {
      log.warn('a program of this machine is refused', { path, reason: unknownProcess })
      return void socket.destroy()
    }
    for (const service of servicesFor(peer)) service.attach(server, { log, admit: () => undefined })
    server.createConnectionInjector(ServerCredentials.createInsecure()).injectConnection(socket)
    socket.resume()
  }
  await makeRoom(path)
  const listener = createServer({ pauseOnConnect: true }, take)
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    // Everybody may ask: the kernel says who it is.
    listener.listen({ path, readableAll: true, writableAll: true }, () => resolve())
  })
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>(resolve => listener.close(() => resolve()))
      for (const [socket, server] of open) {
        server.forceShutdown()
        socket.destroy()
      }
      await closed
    },
  }
}

/** What a process that was killed left there is replaced; what is of use to somebody is not. Throws one sentence. */
async function makeRoom(path: string): Promise<void> {
  // unix(7): sun_path has 108 bytes, the last of which is 0; Node would cut it.
  if (Buffer.byteLength(path) > 107) throw new Error(`the path of the socket ${path} is longer than 107 bytes: choose a shorter one`)
  const there = await lstat(path).catch(() => undefined)
  if (there === undefined) return
  if (!there.isSocket()) throw new Error(`${path} exists and is no socket: choose another path, or remove it`)
  const isServed = await new Promise<boolean>(resolve => {
    const probe = connect(path, () => resolve(true)).on('error', () => resolve(false))
    probe.on('connect', () => probe.destroy())
  })
  if (isServed) throw new Error(`the socket ${path} is served by another process: stop that, or choose another path`)
  await rm(path, { force: true })
}

const unknownProcess = 'the kernel does not say which process this is'

/** Nothing but the socket is made before somebody connects. */
export async function serveAttested({ path, services, refuse, log }: ServeAttested): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>()
  const made: Server[] = []
  const serverFor = (reason: () => string | undefined): ReturnType<Server['createConnectionInjector']> => {
    const server = new Server({ 'grpc.enable_channelz': 0 })
    const admit: Door['admit'] = () => {
      const said = reason()
      if (said !== undefined) throw new RpcError(rpcCodes.permissionDenied, said)
      return undefined
    }
    for (const service of services) service.attach(server, { log, admit })
    made.push(server)
    return server.createConnectionInjector(ServerCredentials.createInsecure())
  }
  let open: ReturnType<typeof serverFor> | undefined
  const take = async (socket: Socket): Promise<void> => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    const peer = credentialsOf(socket)
    const refused = peer === undefined ? unknownProcess : await refuse(peer)
    if (socket.destroyed) return
    if (refused === undefined) (open ??= serverFor(() => undefined)).injectConnection(socket)
    else {
      log.warn('a program of this machine is refused', { path, ...peer, reason: refused })
      serverFor(() => refused).injectConnection(socket)
    }
    socket.resume()
  }
  // Nothing is read before it is known who it is.
  const listener = createServer({ pauseOnConnect: true }, socket => void take(socket))
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(path, () => resolve())
  })
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>(resolve => listener.close(() => resolve()))
      for (const server of made) server.forceShutdown()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
