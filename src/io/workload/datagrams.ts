/** Datagrams of a captured workload, told apart into flows: one source, one destination, as a NAT has them. */

import dgram from 'node:dgram'
import type { Namespace } from '../namespace.ts'
import { closeFd, type Datagram, type Destination, receiveDatagram, refuseDatagram, signalWhenReadable } from '../sockopt.ts'
import type { DatagramSession } from '../udp.ts'
import type { FlowSockets } from './flow-sockets.ts'

/** RFC 4787 REQ-5: at least two minutes. */
const idleMs = 120_000
const mostSessions = 1024
/** Of one flow, while its socket is made. */
const mostWaiting = 64

/** Captures until disposed of; then all sessions end. */
export function captureDatagrams(
  { listeners }: Namespace,
  sockets: FlowSockets,
  onSession: (session: DatagramSession) => void,
): Disposable {
  const sessions = new Map<string, Flow>()
  const take = (datagram: Datagram, icmp: number): void => {
    const { from, to, bytes } = datagram
    const key = `${from.host} ${from.port} ${to.host} ${to.port}`
    const known = sessions.get(key)
    if (known !== undefined) return known.receive(bytes)
    if (sessions.size >= mostSessions) longestIdle(sessions)?.close()
    const flow = new Flow(datagram, {
      makeSocket: place => sockets.make(place),
      stray: other => take(other, icmp),
      refuse: () => refuseDatagram(icmp, datagram),
      closed: () => sessions.delete(key),
    })
    sessions.set(key, flow)
    onSession(flow)
    flow.receive(bytes)
  }

  const drain = (): void => {
    for (const { fd, icmp } of listeners.datagrams)
      for (let datagram = receiveDatagram(fd); datagram !== undefined; datagram = receiveDatagram(fd)) take(datagram, icmp)
  }
  drains.add(drain)
  handleSignal() // before the first signal
  for (const { fd } of listeners.datagrams) signalWhenReadable(fd)
  drain()
  const sweeper = setInterval(() => {
    const before = performance.now() - idleMs
    for (const flow of sessions.values()) if (flow.usedAt < before) flow.close()
    drain() // a signal that was lost would cost a flow its beginning only
  }, 5000).unref()
  return {
    [Symbol.dispose]() {
      clearInterval(sweeper)
      for (const flow of sessions.values()) flow.close()
      for (const { fd, icmp } of listeners.datagrams) {
        closeFd(fd)
        closeFd(icmp)
      }
      drains.delete(drain)
    },
  }
}

/** Of all namespaces of this process, which have one signal between them. */
const drains = new Set<() => void>()
let isHandled = false

/** Once there is no handler left, SIGIO ends a process (signal(7)); one that is under way while the last namespace closes must not. So it stays. */
function handleSignal(): void {
  if (isHandled) return
  isHandled = true
  process.on('SIGIO', () => {
    for (const drain of drains) drain()
  })
}

function longestIdle(sessions: ReadonlyMap<string, Flow>): Flow | undefined {
  let oldest: Flow | undefined
  for (const flow of sessions.values()) if (oldest === undefined || flow.usedAt < oldest.usedAt) oldest = flow
  return oldest
}

type Around = {
  readonly makeSocket: (place: Destination) => Promise<number>
  readonly stray: (datagram: Datagram) => void
  readonly refuse: () => void
  readonly closed: () => void
}

/**
 * The kernel brings further datagrams to the flow's own socket as soon as that is connected; those before come by way of the first. Between bind(2) and connect(2)
 * it may bring it those of other sources as well: they are not of this flow.
 */
class Flow implements DatagramSession {
  readonly from: Destination
  readonly to: Destination
  onMessage: (bytes: Uint8Array) => void = () => {}
  onClose: () => void = () => {}
  usedAt = performance.now()
  readonly #around: Around
  #socket: dgram.Socket | undefined
  #waiting: Uint8Array[] = []
  #isClosed = false

  constructor({ from, to }: Datagram, around: Around) {
    this.from = from
    this.to = to
    this.#around = around
    around.makeSocket(to).then(
      fd => this.#open(fd),
      () => this.close('refused'),
    )
  }

  #open(fd: number): void {
    if (this.#isClosed) return closeFd(fd)
    const socket = dgram.createSocket(this.to.host.includes(':') ? 'udp6' : 'udp4')
    socket.on('error', () => {
      this.close() // the workload closed its socket
      if (this.#socket === undefined) socket.close()
    })
    socket.on('message', (bytes, { address, port }) => {
      const host = address.split('%', 1)[0]!
      if (port === this.from.port && host === this.from.host) this.receive(bytes)
      else this.#around.stray({ bytes, from: { host, port }, to: this.to })
    })
    socket.on('connect', () => {
      if (this.#isClosed) return void socket.close()
      this.#socket = socket
      for (const bytes of this.#waiting.splice(0)) socket.send(bytes, ignore)
    })
    socket.bind({ fd }, () => socket.connect(this.from.port, this.from.host))
  }

  receive(bytes: Uint8Array): void {
    this.usedAt = performance.now()
    if (!this.#isClosed) this.onMessage(bytes)
  }

  send(bytes: Uint8Array): void {
    this.usedAt = performance.now()
    if (this.#isClosed) return
    if (this.#socket !== undefined) this.#socket.send(bytes, ignore)
    else if (this.#waiting.length < mostWaiting) this.#waiting.push(bytes)
  }

  close(how?: 'refused'): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#socket?.close()
    if (how === 'refused') this.#around.refuse()
    this.#around.closed()
    this.onClose()
  }
}

const ignore = (): void => {}
