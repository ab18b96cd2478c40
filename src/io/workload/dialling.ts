/** Connections into a workload's namespace: a store of sockets made there, connected from here when they are needed. */

import net from 'node:net'
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import type { Batch } from '../namespace/messages.ts'
import type { Namespace } from '../namespace.ts'
import { SystemCallFailed, closeFd, connectFd, socketAddress } from '../sockopt.ts'

/** Fewer than this left: the next batch is asked for. */
const lowWater = 32
/** How long the inside thread may take for one batch before the dial fails. */
const batchWaitMs = 1000

export class Dialling {
  readonly #ipv6: boolean
  readonly #port: MessagePort
  readonly #served: Int32Array<SharedArrayBuffer>
  readonly #places = new Map<number, readonly Buffer[]>()
  #store: number[]
  #isAsked = false
  #isClosed = false

  constructor({ ipv6, first, sockets, served }: Namespace) {
    this.#ipv6 = ipv6
    this.#port = sockets
    this.#served = served
    this.#store = [...first.fds]
    sockets.on('message', (batch: Batch) => this.#receive(batch))
    sockets.unref()
  }

  /**
   * A socket to the workload's own port on 127.0.0.1, or on ::1 where only that listens. `connect` or `error` (ECONNREFUSED…) follows, in a later turn.
   * Loopback connects within the call, so nothing here waits unless the program's accept queue is full.
   */
  dialNow(port: number): net.Socket {
    let refused: SystemCallFailed | undefined
    try {
      for (const place of this.#placesOf(port)) {
        const fd = this.#take()
        const outcome = connectFd(fd, place)
        if (outcome === 'connected' || outcome === 'pending') return opened(fd, outcome)
        closeFd(fd) // a socket that was refused over IPv4 remembers that, and cannot be turned to IPv6
        refused ??= outcome
      }
    } catch (thrown) {
      return broken(thrown as Error)
    }
    const { code, errno } = refused!
    return broken(
      Object.assign(new Error(`connect ${code} 127.0.0.1:${port}`), { code, errno, syscall: 'connect', address: '127.0.0.1', port }),
    )
  }

  close(): void {
    this.#isClosed = true
    for (const fd of this.#store.splice(0)) closeFd(fd)
  }

  #placesOf(port: number): readonly Buffer[] {
    let places = this.#places.get(port)
    if (places === undefined) {
      places = (this.#ipv6 ? ['::ffff:127.0.0.1', '::1'] : ['127.0.0.1']).map(host => socketAddress(host, port))
      this.#places.set(port, places)
    }
    return places
  }

  #take(): number {
    if (this.#isClosed) throw Object.assign(new Error('the workload is gone'), { code: 'ECONNREFUSED' })
    if (this.#store.length < lowWater) this.#ask()
    return this.#store.pop() ?? this.#wait()
  }

  #ask(): void {
    if (this.#isAsked) return
    this.#isAsked = true
    this.#port.postMessage('more')
  }

  /** The store is empty within one turn of the loop: the batch is awaited on the spot (about 0.2 ms), which keeps `dialNow` one plain call. */
  #wait(): number {
    for (;;) {
      const seen = Atomics.load(this.#served, 0)
      const arrived = receiveMessageOnPort(this.#port)
      if (arrived !== undefined) {
        const batch = arrived.message as Batch
        this.#receive(batch)
        const fd = this.#store.pop()
        if (fd !== undefined) return fd
        throw batch.failed
          ? new SystemCallFailed(batch.failed.syscall, -batch.failed.errno, 'for a connection to the workload')
          : new Error('no socket could be made')
      }
      if (Atomics.wait(this.#served, 0, seen, batchWaitMs) === 'timed-out')
        throw Object.assign(new Error('the thread inside the namespace does not answer'), { code: 'ETIMEDOUT' })
    }
  }

  #receive({ fds }: Batch): void {
    this.#isAsked = false
    if (this.#isClosed) fds.forEach(closeFd)
    else this.#store.push(...fds)
  }
}

function opened(fd: number, outcome: 'connected' | 'pending'): net.Socket {
  const socket = new net.Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
  socket.setNoDelay(true)
  if (outcome === 'connected') process.nextTick(announce, socket)
  else awaitPeer(socket)
  return socket
}

function announce(socket: net.Socket): void {
  if (socket.destroyed) return
  socket.emit('connect')
  socket.emit('ready')
}

/** The accept queue is full: the kernel tries again. Bytes written meanwhile wait; a refusal comes as `error` from the read that is under way. */
function awaitPeer(socket: net.Socket): void {
  const look = setInterval(() => {
    if (socket.destroyed || socket.remoteAddress !== undefined) {
      clearInterval(look)
      announce(socket)
    }
  }, 5)
  socket.once('close', () => clearInterval(look))
}

function broken(error: Error): net.Socket {
  return new net.Socket({ allowHalfOpen: true }).destroy(error)
}
