/** A gRPC server at a Unix socket, where each caller is judged by what the kernel says of its process. */

import { Server, ServerCredentials } from '@grpc/grpc-js'
import { createServer, type Socket } from 'node:net'
import type { Log } from '#base/log'
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
    const refused = peer === undefined ? 'the kernel does not say which process this is' : await refuse(peer)
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
