/** Asks the host's own DNS servers, for names that are not of the mesh. */

import dgram from 'node:dgram'
import dns from 'node:dns'
import net from 'node:net'

const patienceMs = 2000

/** Servers of this machine as `host:port` or `host`, in order; asked one after the other. The message goes out and comes back as it is. */
export function hostResolver(servers: readonly string[] = dns.getServers()): (query: Uint8Array) => Promise<Uint8Array | undefined> {
  return async query => {
    for (const server of servers) {
      const { host, port } = placeOf(server)
      const reply = await askUdp(query, host, port)
      // TC, RFC 1035 §4.1.1: the answer did not fit, so ask again by TCP.
      if (reply !== undefined && (reply[2]! & 0x02) !== 0) return (await askTcp(query, host, port)) ?? reply
      if (reply !== undefined) return reply
    }
    return undefined
  }
}

function placeOf(server: string): { host: string; port: number } {
  const [, six, host, port] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(server) ?? []
  return { host: six ?? host ?? server, port: Number(port ?? 53) }
}

function askUdp(query: Uint8Array, host: string, port: number): Promise<Uint8Array | undefined> {
  return new Promise(resolve => {
    const socket = dgram.createSocket(net.isIPv6(host) ? 'udp6' : 'udp4')
    const settle = (reply?: Uint8Array) => {
      clearTimeout(timer)
      socket.close()
      resolve(reply)
    }
    const timer = setTimeout(settle, patienceMs)
    socket.once('error', () => settle())
    // Connected, so that only this server is heard; the id must be the one that was asked.
    socket.on('message', reply => {
      if (reply.length >= 12 && reply[0] === query[0] && reply[1] === query[1]) settle(reply)
    })
    socket.connect(port, host, () => socket.send(query))
  })
}

function askTcp(query: Uint8Array, host: string, port: number): Promise<Uint8Array | undefined> {
  return new Promise(resolve => {
    const socket = net.connect({ host, port })
    let held = Buffer.alloc(0)
    const settle = (reply?: Uint8Array) => {
      socket.destroy()
      resolve(reply)
    }
    socket.setTimeout(patienceMs, () => settle())
    socket.on('error', () => settle())
    socket.on('connect', () => socket.write(Buffer.concat([Uint8Array.of(query.length >> 8, query.length & 255), query])))
    socket.on('data', (bytes: Buffer) => {
      held = Buffer.concat([held, bytes])
      if (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) settle(held.subarray(2, 2 + held.readUInt16BE(0)))
    })
  })
}
