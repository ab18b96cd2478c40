/** A proxy by a file in this one process; at its first restart it hands its sockets to a worker and only keeps them from then on. */

import { pageOf } from '#proxy/admin'
import { FileProxy } from '#proxy/from-file'
import type { Served } from './served.ts'
import { Workers, type WorkersOptions } from './workers.ts'

export async function serveAlone(options: Omit<WorkersOptions, 'count' | 'registry'>): Promise<Served> {
  const { place, world, drainMs } = options
  const own = await FileProxy.start({
    ...place,
    log: world.log,
    onListening: options.onListening,
    onChange: outcome => options.onChange('refused' in outcome ? outcome.refused : undefined),
  })
  let workers: Workers | undefined
  let restarting: Promise<string> | undefined
  /** What this process still serves. */
  let retired: Promise<void> = Promise.resolve()

  async function handOver(): Promise<string> {
    const datagrams = own.sockets.find(({ opened }) => opened.protocol === 'udp' && opened.direction === 'outbound')
    if (datagrams !== undefined)
      throw new Error(
        `${datagrams.opened.name} takes datagrams, and a socket of UDP is not handed to another process: stop it and start it anew`,
      )
    const fresh = new Workers({ ...options, count: 1, registry: own.core.meter.registry })
    try {
      await fresh.start(own.sockets)
    } catch (thrown) {
      await fresh[Symbol.asyncDispose]()
      throw thrown
    }
    workers = fresh
    retired = own.retire(drainMs).then(() => own[Symbol.asyncDispose]())
    return 'restarted: a worker serves'
  }

  return {
    get listeners() {
      return workers?.listeners ?? own.sockets.map(({ opened }) => opened)
    },
    get adminPort() {
      return workers?.adminPort ?? own.adminPort
    },
    page: path => workers?.page(path) ?? pageOf({ core: own.core, certificate: () => own.certificate }, path),
    reread: () => void (workers ?? own).reread(),
    restart: () => (restarting ??= (workers?.restart() ?? handOver()).finally(() => (restarting = undefined))),
    async drain(deadlineMs) {
      await (workers === undefined ? own.core.drain(deadlineMs) : Promise.all([workers.drain(deadlineMs), retired]))
    },
    async [Symbol.asyncDispose]() {
      await workers?.[Symbol.asyncDispose]()
      if (workers === undefined) await own[Symbol.asyncDispose]()
    },
  }
}
