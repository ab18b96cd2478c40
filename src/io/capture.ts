/** Host-wide interception: connections of programs that Weft did not start, and of their callers, brought to this process by the packet filter. Linux, root. */

import { existsSync, readFileSync } from 'node:fs'
import net from 'node:net'
import process from 'node:process'
import type { Exclusions } from '#base/exclusions'
import { findCgroup } from './capture/cgroup.ts'
import { install, removeLeftovers } from './capture/filter.ts'
import type { Plan, Selection } from './capture/plan.ts'
import { type AnswerDns, listenDns } from './dns-server.ts'
import { CAP_NET_ADMIN, holds } from './namespace/capabilities.ts'
import type { Verdict } from './namespace/refusal.ts'
import { findTool } from './namespace/tools.ts'
import { listen, type Listening } from './net.ts'
import { closeFd, type Destination, makeListener, originalDestination } from './sockopt.ts'

export { removeLeftovers } from './capture/filter.ts'
export type { Selection } from './capture/plan.ts'

export type HostCaptureOptions = {
  readonly select: Selection
  readonly exclude: Exclusions
  /** Ports of the workload whose callers from other machines are captured too. */
  readonly inbound: readonly number[]
  readonly mode: 'redirect' | 'tproxy'
  /** A connection of a selected program. Paused; the socket is the caller's from now on. */
  onConnection(socket: net.Socket, destination: Destination): void
  /** A caller from another machine. destination: the port that it dialled, which is one of `inbound`. */
  onCaller(socket: net.Socket, destination: Destination): void
  readonly onDnsQuery: AnswerDns
}

export type HostCapture = AsyncDisposable & {
  /** For people: `nftables table weft_capture_812_93`. */
  readonly says: string
  /** Processes whose rules a crash had left, and that are gone now. */
  readonly cleaned: readonly number[]
}

/** May this process change the packet filter here? Sentences without a final stop. */
export function canCaptureHost(): Verdict {
  if (process.platform !== 'linux')
    return {
      ok: false,
      why: `host-wide interception needs Linux, this is ${process.platform}`,
      remedy: 'use weft run for each program instead',
    }
  if (!holds(CAP_NET_ADMIN) || process.getuid?.() !== 0)
    return {
      ok: false,
      why: 'host-wide interception changes the packet filter, for which this process lacks CAP_NET_ADMIN or is not root',
      remedy: 'start it as root, in a container with CAP_NET_ADMIN; or use weft run, which needs neither',
    }
  if (findTool('nft') === undefined && findTool('iptables') === undefined)
    return { ok: false, why: 'neither nft nor iptables is installed', remedy: 'apt-get install nftables' }
  return { ok: true }
}

/** Rules stand when this resolves, and are gone after disposal, or when this process ends in any other way. Rejects with a sentence. */
export async function captureHost(options: HostCaptureOptions): Promise<HostCapture> {
  const verdict = canCaptureHost()
  if (!verdict.ok) throw new Error(`${verdict.why}: ${verdict.remedy}`)
  const { exclude, mode } = options
  const select = { ...options.select, cgroups: options.select.cgroups.map(path => findCgroup(path)) }
  const cleaned = await removeLeftovers()
  const ipv6 = existsSync('/proc/net/if_inet6')
  await using owned = new AsyncDisposableStack()
  const hosts = ipv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']
  const outbound = await onOnePort(hosts, owned, (host, port) =>
    listen(host, port, socket => hand(socket, (taken, to) => options.onConnection(taken, to))),
  )
  const dns = await onOnePort(hosts, owned, (host, port) => listenDns(host, port, options.onDnsQuery))
  const inbound = options.inbound.length === 0 ? 0 : await listenForCallers(options, ipv6, owned)
  const gid = freeGroup()
  // Sockets belong to the group of their process: by it the rules know the proxy's own, which must not come back to it.
  const before = process.getegid!()
  process.setegid!(gid)
  owned.defer(() => process.setegid!(before))
  const plan: Plan = { select, exclude, inbound: options.inbound, mode, gid, ipv6, ports: { outbound, inbound, dns } }
  const installed = owned.use(await install(plan))
  const kept = owned.move()
  return {
    cleaned,
    says: `${installed.how} ${installed.how === 'nftables' ? 'table' : 'chains'} ${installed.name}${installed.isSelfCleaning ? ', gone with this process' : ''}`,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

/** The same free port at every address. */
async function onOnePort(
  hosts: readonly string[],
  owned: AsyncDisposableStack,
  open: (host: string, port: number) => Promise<AsyncDisposable & { readonly port: number }>,
): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    await using opened = new AsyncDisposableStack()
    const [first = '127.0.0.1', ...others] = hosts
    const { port } = opened.use(await open(first, 0))
    try {
      for (const host of others) opened.use(await open(host, port))
    } catch (thrown) {
      if (attempt < 20) continue
      throw thrown
    }
    owned.use(opened.move())
    return port
  }
}

async function listenForCallers({ mode, onCaller }: HostCaptureOptions, ipv6: boolean, owned: AsyncDisposableStack): Promise<number> {
  const hosts = ipv6 ? ['0.0.0.0', '::'] : ['0.0.0.0']
  if (mode === 'redirect') return onOnePort(hosts, owned, (host, port) => listenOnly(host, port, socket => hand(socket, onCaller)))
  // Under TPROXY a connection keeps its destination: it is the local address of the socket.
  const take = (socket: net.Socket): void => {
    const { localAddress = '', localPort = 0 } = socket
    onCaller(socket, { host: localAddress.replace(/^::ffff:/, ''), port: localPort })
  }
  return onOnePort(hosts, owned, (host, port) => listenTransparent(host, port, take))
}

/** An IPv6 listener beside an IPv4 one on the same port must not take both. */
function listenOnly(host: string, port: number, onSocket: (socket: net.Socket) => void): Promise<Listening> {
  return host === '::' ? adopt(makeListener('tcp', host, port), onSocket) : listen(host, port, onSocket)
}

function listenTransparent(host: string, port: number, onSocket: (socket: net.Socket) => void): Promise<Listening> {
  return adopt(makeListener('transparent', host, port), onSocket)
}

function adopt(fd: number, onSocket: (socket: net.Socket) => void): Promise<Listening> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, onSocket)
  return new Promise((resolve, reject) => {
    server.once('error', error => {
      closeFd(fd)
      reject(error)
    })
    server.listen({ fd, backlog: 4096 }, () => {
      const { address, port } = server.address() as net.AddressInfo
      server.on('error', () => {})
      const stop = () => server.close()
      resolve({ host: address, port, stop, [Symbol.asyncDispose]: async () => void server.close() })
    })
  })
}

/** A connection to the capture port itself would lead back here for ever: it is closed. */
function hand(socket: net.Socket, take: (socket: net.Socket, destination: Destination) => void): void {
  socket.on('error', () => {})
  const destination = originalDestination(socket)
  if (destination === undefined) socket.destroy()
  else take(socket, destination)
}

/** A number that no group of this machine has. */
function freeGroup(): number {
  let taken: ReadonlySet<string> = new Set()
  try {
    taken = new Set([...readFileSync('/etc/group', 'utf8').matchAll(/^[^:]*:[^:]*:(\d+):/gm)].map(([, gid]) => gid!))
  } catch {
    // no groups at all
  }
  let gid = 15_053
  while (taken.has(String(gid))) gid++
  return gid
}
