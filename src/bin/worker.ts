/** A worker: a process that serves by sockets which the proxy that started it owns. */

import { joinFleet } from '#io/worker'
import { pageOf } from '#proxy/admin'
import { FileProxy } from '#proxy/from-file'
import { Teller } from '#proxy/tally'
import type { FromFileWorker, Order, ToFileWorker } from './proxy/messages.ts'
import type { WorkerWorld } from './world.ts'

/** How often what was counted goes up: what a crash may lose. */
const tellMs = 500

/** Resolves when it is to end. */
export async function work({ log }: WorkerWorld): Promise<void> {
  let running: FileProxy | undefined
  let teller: Teller | undefined
  let tell: (about: FromFileWorker) => void = () => {}
  const count = () => {
    const counts = teller?.take() ?? []
    if (counts.length > 0) tell({ type: 'counts', counts })
  }
  await joinFleet({
    async begin(order, post) {
      const { place } = order as Order
      tell = post.tell
      const listening = () =>
        running && tell({ type: 'listening', listeners: running.sockets.map(({ opened }) => opened), adminPort: running.adminPort })
      running = await FileProxy.start({
        ...place,
        log,
        listen: post.listen,
        onListening: listening,
        onChange: outcome => tell({ type: 'changed', ...('refused' in outcome ? outcome : {}) }),
      })
      teller = new Teller(running.core.meter.registry)
      setInterval(count, tellMs).unref()
      listening()
    },
    told(about) {
      const message = about as ToFileWorker
      switch (message.type) {
        case 'count':
          count()
          return tell({ type: 'answer', id: message.id })
        case 'page': {
          const proxy = running
          if (proxy === undefined) return
          const page = pageOf({ core: proxy.core, certificate: () => proxy.certificate }, message.path)
          return tell({ type: 'answer', id: message.id, page })
        }
        case 'reread':
          void running?.reread()
      }
    },
    async leave(how, deadlineMs) {
      await running?.[how](deadlineMs)
      count()
    },
  })
}
