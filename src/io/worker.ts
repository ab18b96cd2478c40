/** A worker's end of the channel to the process that owns its listening sockets. */

import process from 'node:process'
import { acceptOn, type Handle } from './fleet/handles.ts'
import { type FromWorker, keyOf, type ToWorker, type Wanted } from './fleet/messages.ts'
import type { Listening, Socket } from './net.ts'

export type Orders = {
  /** The first thing heard. Its rejection is told to the owner, and the worker ends. */
  readonly begin: (order: unknown, post: Post) => Promise<void>
  readonly told: (about: unknown) => void
  /** Resolves when nothing is left to do here. */
  readonly leave: (how: 'retire' | 'drain', deadlineMs: number) => Promise<void>
}

/** How long what is open may take when this worker leaves without having been told to. */
const orphanMs = 5000

export type Post = {
  tell(about: unknown): void
  /** As `listen` of `io/net`, on a socket that the owner opens, keeps, and gives to the other workers too. name tells listeners apart. */
  listen(host: string, port: number, onSocket: (socket: Socket) => void, name: string): Promise<Listening>
}

/** Resolves when this worker is to end. */
export async function joinFleet(orders: Orders): Promise<void> {
  if (process.send === undefined) throw new Error('a worker is started by the proxy that it belongs to, not by hand')
  const waiting = new Map<string, { resolve(opened: { handle: Handle; port: number }): void; reject(thrown: Error): void }>()
  const over = Promise.withResolvers<void>()
  let isLeaving = false
  const say = (message: FromWorker, handle?: Handle): void => {
    if (process.connected) process.send!(message, handle as never, { keepOpen: true }, () => {})
  }

  const listen: Post['listen'] = async (host, port, onSocket, name) => {
    const wanted: Wanted = { name, host, port }
    const opened = await new Promise<{ handle: Handle; port: number }>((resolve, reject) => {
      waiting.set(keyOf(wanted), { resolve, reject })
      say({ type: 'open', wanted })
    })
    const listening = await acceptOn(opened.handle, host, opened.port, onSocket)
    const stop = () => {
      listening.stop()
      if (!isLeaving) say({ type: 'closed', wanted })
    }
    return { ...listening, stop }
  }

  const leave = (how: 'retire' | 'drain', deadlineMs: number): void => {
    if (isLeaving) return
    isLeaving = true
    orders.leave(how, deadlineMs).then(over.resolve, over.reject)
  }

  process.on('message', (message: ToWorker, handle: unknown) => {
    switch (message.type) {
      case 'begin':
        orders.begin(message.order, { tell: about => say({ type: 'told', about }), listen }).then(
          () => say({ type: 'ready' }),
          (thrown: unknown) => say({ type: 'failed', says: thrown instanceof Error ? thrown.message : String(thrown) }),
        )
        return
      case 'opened':
        // Sent back before it is used: by now the channel has duplicated it, and the copy is the owner's.
        if (message.wantsCopy) say({ type: 'copy', wanted: message.wanted }, handle as Handle)
        waiting.get(keyOf(message.wanted))?.resolve({ handle: handle as Handle, port: message.port })
        return
      case 'unopened':
        waiting.get(keyOf(message.wanted))?.reject(new Error(message.says))
        return
      case 'told':
        return orders.told(message.about)
      case 'leave':
        return leave(message.how, message.deadlineMs)
    }
  })
  process.on('disconnect', () => leave('drain', orphanMs)) // the owner died
  process.on('SIGTERM', () => leave('retire', orphanMs))
  say({ type: 'here' })
  await over.promise
}
