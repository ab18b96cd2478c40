/** A gRPC server at a socket in a folder: who may open that may call. */

import { Server, ServerCredentials } from '@grpc/grpc-js'
import { rm } from 'node:fs/promises'
import type { Log } from '#base/log'
import type { Service } from './service.ts'

export type LocalServer = { [Symbol.asyncDispose](): Promise<void> }

/** path: in a folder that only its user can enter; what an earlier process left there is replaced. Streams are cut at the end. */
export async function serveLocal(path: string, services: readonly Service[], log: Log): Promise<LocalServer> {
  const server = new Server({ 'grpc.enable_channelz': 0 })
  for (const service of services) service.attach(server, { log, admit: () => undefined })
  await rm(path, { force: true })
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), error => (error ? reject(error) : resolve())),
  )
  return {
    async [Symbol.asyncDispose]() {
      server.forceShutdown()
      await rm(path, { force: true })
    },
  }
}
