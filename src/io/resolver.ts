/** Asks the machine's own DNS servers, for names that are not of the mesh. */

import dgram from 'node:dgram'
import net from 'node:net'
import { randomInt } from 'node:crypto'
import { dnsCodes, DnsStream, encodeQuery, framed, parseReply, type Query, type Question } from '#wire/dns'
import type { AskOutside } from './resolver/ask.ts'
import { machineServers } from './resolver/servers.ts'

export { type Lookup, lookupBy, machineLookup } from './resolver/lookup.ts'
export { machineServers } from './resolver/servers.ts'
export type { AskOutside } from './resolver/ask.ts'

export type ResolverOptions = {
  /** `host`, `host:port` or `[host]:port`, in order; asked anew for each question. Default: the machine's, as they are then. */
  readonly servers?: () => readonly string[]
  /** How long one server has for one try. Default 1.5 s. */
  readonly patienceMs?: number
}

/** Each server is asked twice before it is given up (resolv.conf(5): attempts). */
const attempts = 2

/** Fits every path without fragments (DNS Flag Day 2020); what does not fit comes over TCP. */
const udpBytes = 1232

/** Every question goes from a port of its own, with a random id (RFC 5452 §9.2). */
export function hostResolver({ servers = machineServers(), patienceMs = 1500 }: ResolverOptions = {}): AskOutside {
  return async (question, wantsDnssec = false) => {
    let unwilling: Uint8Array | undefined
    const places = servers().map(placeOf)
    for (let attempt = 0; attempt < attempts; attempt++)
      for (const place of places) {
        const reply = await askServer(place, question, wantsDnssec, patienceMs)
        if (reply === undefined) continue
        // Another server may know: this one failed, or does not serve us.
        if (![dnsCodes['server-failure'], dnsCodes.refused, dnsCodes['not-implemented']].includes(codeOf(reply) as 2)) return reply
        unwilling = reply
      }
    return unwilling
  }
}

const codeOf = (reply: Uint8Array): number => reply[3]! & 0xf

const isTruncated = (reply: Uint8Array): boolean => (reply[2]! & 0x02) !== 0

type Place = { readonly host: string; readonly port: number }

function placeOf(server: string): Place {
  if (net.isIPv6(server.split('%')[0]!)) return { host: server, port: 53 }
  const [, six, host, port] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(server) ?? []
  return { host: six ?? host ?? server, port: Number(port ?? 53) }
}

async function askServer(place: Place, question: Question, wantsDnssec: boolean, patienceMs: number): Promise<Uint8Array | undefined> {
  const make = (edns: Query['edns']): Query => ({ id: randomInt(0x1_0000), isRecursionDesired: true, question, edns })
  let query = make({ udpBytes, wantsDnssec })
  let reply = await askUdp(place, query, patienceMs)
  // RFC 6891 §7: a server that does not know EDNS says that the question is malformed.
  if (reply !== undefined && codeOf(reply) === dnsCodes['format-error']) reply = await askUdp(place, (query = make(undefined)), patienceMs)
  // TC, RFC 1035 §4.1.1: the answer did not fit, so it is asked for over TCP.
  if (reply !== undefined && isTruncated(reply)) return (await askTcp(place, query, patienceMs)) ?? reply
  return reply
}

/** Is it the answer to this very question (RFC 5452 §9.1)? Anything else is as if it had not come. */
function isAnswer(reply: Uint8Array, { id, question }: Query): boolean {
  const read = parseReply(reply)
  if (read === undefined || read.id !== id) return false
  // An error may come without the question, for its server did not read that far.
  if (read.question === undefined) return read.code !== 'ok' && read.code !== 'no-such-name'
  const { name, type, class: kind } = read.question
  return name.toLowerCase() === question.name.toLowerCase() && type === question.type && kind === question.class
}

function askUdp({ host, port }: Place, query: Query, patienceMs: number): Promise<Uint8Array | undefined> {
  return new Promise(resolve => {
    const socket = dgram.createSocket(net.isIPv6(host.split('%')[0]!) ? 'udp6' : 'udp4')
    const settle = (reply?: Uint8Array) => {
      clearTimeout(timer)
      socket.removeAllListeners().on('error', () => {})
      socket.close()
      resolve(reply)
    }
    const timer = setTimeout(settle, patienceMs)
    socket.once('error', () => settle())
    // Connected, so that only this server is heard, and its absence is told by the kernel.
    socket.on('message', reply => {
      if (isAnswer(reply, query)) settle(reply)
    })
    socket.connect(port, host, () => socket.send(encodeQuery(query)))
  })
}

function askTcp({ host, port }: Place, query: Query, patienceMs: number): Promise<Uint8Array | undefined> {
  return new Promise(resolve => {
    const socket = net.connect({ host, port })
    const stream = new DnsStream()
    const settle = (reply?: Uint8Array) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(reply)
    }
    const timer = setTimeout(settle, patienceMs)
    socket.on('error', () => settle())
    socket.on('end', () => settle())
    socket.on('connect', () => socket.write(framed(encodeQuery(query))))
    socket.on('data', (bytes: Uint8Array) => {
      const reply = stream.receive(bytes).find(message => isAnswer(message, query))
      if (reply !== undefined) settle(reply)
    })
  })
}
