/** Serves an Envoy of this machine its workload's certificate, by secret discovery at a socket, and the next one when it is renewed. */

import type { Log } from '#base/log'
import { type LocalServer, serveLocal, stream } from '#io/grpc'
import { type OwnSecrets, secretsOf } from '#xds/secrets'
import { serveSecrets } from '#xds/rpcs'
import { AdsServer } from '#xds/server'

export type ServedSecrets = LocalServer & {
  /** There is a new certificate. */
  renew(): void
}

/** path: of the socket, in a folder that only this user may enter: whoever can open it is given the key. */
export async function serveOwnSecrets(path: string, current: () => OwnSecrets, log: Log): Promise<ServedSecrets> {
  const open = new Set<() => void>()
  let revision = 1
  const service = stream(serveSecrets, out => {
    const server = new AdsServer('state')
    const tell = (): void => {
      server.setSnapshot(secretsOf(current(), revision))
      for (const reply of server.drain()) out.send(reply)
    }
    open.add(tell)
    tell()
    return {
      message: request => {
        for (const event of server.receiveState(request))
          if (event.type === 'rejected')
            for (const { resource, reason } of event.resources) log.error('Envoy does not take a secret', { resource, reason })
        for (const reply of server.drain()) out.send(reply)
      },
      end: () => {
        open.delete(tell)
        out.end()
      },
    }
  })
  const served = await serveLocal(path, [service], log)
  return {
    renew: () => {
      revision++
      for (const tell of open) tell()
    },
    [Symbol.asyncDispose]: () => served[Symbol.asyncDispose](),
  }
}
