/** Answers DNS over UDP and TCP: messages in, messages out; who answers them is the caller's choice. */

import type net from 'node:net'
import { DnsStream, framed } from '#wire/dns'
import { listen } from './net.ts'
import { listenUdp } from './udp.ts'

/** undefined: say nothing. Must not reject. */
export type AnswerDns = (query: Uint8Array, from: 'udp' | 'tcp') => Promise<Uint8Array | undefined>

export type DnsListening = AsyncDisposable & { readonly host: string; readonly port: number }

/** port 0: any that is free for both. Rejects with a sentence that names the port and what to do. */
export async function listenDns(host: string, port: number, answer: AnswerDns): Promise<DnsListening> {
  for (let attempt = 0; ; attempt++) {
    await using opened = new AsyncDisposableStack()
    const tcp = opened.use(await listen(host, port, socket => answerDnsStream(socket, query => answer(query, 'tcp'))))
    try {
      opened.use(await listenUdp({ host, port: tcp.port }, query => answer(query, 'udp')))
    } catch (thrown) {
      if (port === 0 && attempt < 20) continue // taken by another over UDP
      throw new Error(`port ${tcp.port} on ${host} is in use over UDP (${(thrown as Error).message}): choose another port`, {
        cause: thrown,
      })
    }
    const kept = opened.move()
    return { host, port: tcp.port, [Symbol.asyncDispose]: () => kept.disposeAsync() }
  }
}

const idleMs = 30_000
/** Questions of one connection under way at once; further ones wait unread. */
const mostOwed = 64

/** RFC 1035 §4.2.2: each message follows its length in two bytes. Answers may leave in another order (RFC 7766 §6.2.1.1). */
export function answerDnsStream(socket: net.Socket, answer: (query: Uint8Array) => Promise<Uint8Array | undefined>): void {
  const stream = new DnsStream()
  let owed = 0
  let ended = false
  const settle = () => {
    if (ended && owed === 0) socket.end()
    else if (owed < mostOwed && socket.isPaused()) socket.resume()
  }
  socket.setTimeout(idleMs, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('end', () => {
    ended = true
    settle()
  })
  const reply = async (query: Uint8Array) => {
    owed++
    const message = await answer(query).catch(() => undefined)
    owed--
    if (message !== undefined && !socket.destroyed) socket.write(framed(message))
    settle()
  }
  socket.on('data', (bytes: Uint8Array) => {
    for (const query of stream.receive(bytes)) void reply(query)
    if (owed >= mostOwed) socket.pause()
  })
  socket.resume()
}
