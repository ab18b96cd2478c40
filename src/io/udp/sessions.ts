/** Datagrams that come to a socket of this machine, told apart by who sends them: one source, one session, as a NAT has them. */

import dgram from 'node:dgram'
import { listenError } from '../net.ts'
import type { Destination } from '../sockopt.ts'

/** One flow, from its first datagram until it is closed by either side or, where the socket keeps time, was idle for too long. */
export type DatagramSession = {
  readonly from: Destination
  /** Where it is sent to. */
  readonly to: Destination
  /** Hears every datagram in order, the first one too when it is set at once. */
  onMessage: (bytes: Uint8Array) => void
  /** Called once, whoever ended it. */
  onClose: () => void
  /** Back, as from `to`. Over UDP nothing is promised: what cannot be sent is gone. */
  send(bytes: Uint8Array): void
  /** refused: the sender is told that nobody is there, where that can be (ECONNREFUSED on a connected socket). The next datagram begins a new session. */
  close(how?: 'refused'): void
}

/** Beyond this the one that was silent for longest ends. */
const mostSessions = 4_096

export type UdpSessions = {
  readonly host: string
  readonly port: number
  /** No new session; those that are there go on, and the socket closes with the last of them. */
  stop(): void
  /** Takes new sessions again, after a stop; false: the socket is closed already. */
  resume(): boolean
}

/** port 0: any free one. Rejects with a sentence that names the port and what to do. How long a session may be idle is its owner's to know. */
export function listenSessions(host: string, port: number, onSession: (session: DatagramSession) => void): Promise<UdpSessions> {
  const socket = dgram.createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1_048_576 })
  /** In order of their last datagram, the longest silent first. */
  const sessions = new Map<string, Session>()
  let isStopped = false
  let isClosed = false
  const end = (): void => {
    isClosed = true
    socket.close()
  }
  const closed = (key: string): void => {
    sessions.delete(key)
    if (isStopped && sessions.size === 0) end()
  }
  socket.on('message', (bytes, { address, port: from }) => {
    const key = `${address} ${from}`
    let session = sessions.get(key)
    if (session === undefined) {
      if (isStopped) return
      if (sessions.size >= mostSessions) sessions.values().next().value?.close()
      session = new Session(socket, { host: address, port: from }, () => closed(key))
      sessions.set(key, session)
      onSession(session)
    } else {
      sessions.delete(key)
      sessions.set(key, session)
    }
    session.onMessage(bytes)
  })
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(listenError(error, host, port))
    socket.once('error', failed)
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.off('error', failed).on('error', () => {})
      const stop = (): void => {
        if (isStopped) return
        isStopped = true
        if (sessions.size === 0) end()
      }
      const resume = (): boolean => {
        if (isClosed) return false
        isStopped = false
        return true
      }
      resolve({ host, port: socket.address().port, stop, resume })
    })
  })
}

class Session implements DatagramSession {
  readonly from: Destination
  readonly to: Destination
  onMessage: (bytes: Uint8Array) => void = () => {}
  onClose: () => void = () => {}
  readonly #socket: dgram.Socket
  readonly #closed: () => void
  #isClosed = false

  constructor(socket: dgram.Socket, from: Destination, closed: () => void) {
    const { address: host, port } = socket.address()
    this.from = from
    this.to = { host, port }
    this.#socket = socket
    this.#closed = closed
  }

  send(bytes: Uint8Array): void {
    if (!this.#isClosed) this.#socket.send(bytes, this.from.port, this.from.host, unheard)
  }

  /** A socket that serves many senders cannot refuse one of them. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#closed()
    this.onClose()
  }
}

const unheard = (): void => {}
