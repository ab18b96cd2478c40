/** Mesh DNS beside a proxy by a file: names of the file's dns_filter, all else of the machine's servers. */

import { listenDns } from '#io/dns-server'
import { hostResolver } from '#io/resolver'
import { emptyView, type View } from '#model/view'
import { MeshDns } from '#proxy/dns'
import type { Served } from './served.ts'

export type ServedDns = AsyncDisposable & {
  readonly port: number
  /** The file was taken anew. */
  renew(): Promise<void>
}

/** On loopback, over UDP and TCP. Whichever processes serve, what they serve by is asked of them. port 0: any free one. */
export async function serveDns(running: Served, port: number): Promise<ServedDns> {
  let view = emptyView
  const renew = async (): Promise<void> => {
    view = JSON.parse((await running.page('/config')).body) as View
  }
  await renew()
  const dns = new MeshDns({ view: () => view, ready: async () => {}, ask: hostResolver(), now: () => performance.now() })
  const listening = await listenDns('127.0.0.1', port, (query, from) => dns.answer(query, from))
  return { port: listening.port, renew, [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose]() }
}
