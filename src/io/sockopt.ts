/** The C library calls that Node has no words for: making sockets in this thread's network namespace, connecting them by number, asking where a redirected connection was going. */

import net from 'node:net'
import process from 'node:process'
import { AF_INET, AF_INET6, type Destination, destinationIn, socketAddress } from './sockopt/address.ts'
import { libc, made, SystemCallFailed } from './sockopt/libc.ts'

export { type Destination, socketAddress } from './sockopt/address.ts'
export { type Datagram, receiveDatagram, refuseDatagram, signalWhenReadable } from './sockopt/datagrams.ts'
export { SystemCallFailed } from './sockopt/libc.ts'

/** linux/socket.h and its relatives; the same on every 64-bit architecture that Node runs on. */
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_RAW = 3
const SOCK_NONBLOCK_CLOEXEC = 0o2004000
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SO_LINGER = 13
const SO_PEERCRED = 17
const SO_PEERPIDFD = 77
const SOL_IP = 0
const SOL_IPV6 = 41
const IP_TRANSPARENT = 19
const IP_RECVORIGDSTADDR = 20
const IPV6_RECVORIGDSTADDR = 74
const IPV6_TRANSPARENT = 75
const IPPROTO_ICMP = 1
const IPPROTO_ICMPV6 = 58
const IPV6_V6ONLY = 26
/** linux/netfilter_ipv4.h; IP6T_SO_ORIGINAL_DST has the same number. */
const SO_ORIGINAL_DST = 80
const EALREADY = 114
const EINPROGRESS = 115

/** Throws when the C library cannot be reached; nothing else happens. */
export const requireFfi = (): void => void libc()

// ── where a redirected connection was going ──

const address = Buffer.alloc(28)
const addressLength = Buffer.alloc(4)

/**
 * The address that the peer dialled, before REDIRECT changed it (getsockopt SO_ORIGINAL_DST; needs connection tracking).
 * Ask at once when the connection is accepted. Undefined when it was not redirected: then the peer dialled the listener itself,
 * and relaying there would go in a circle.
 */
export function originalDestination(socket: net.Socket): Destination | undefined {
  const fd = fdOf(socket)
  const { localAddress, localPort } = socket
  if (fd === undefined || localAddress === undefined) return undefined
  const ipv4 = net.isIPv4(localAddress) || localAddress.startsWith('::ffff:')
  addressLength.writeUInt32LE(ipv4 ? 16 : 28)
  if (libc().getsockopt(fd, ipv4 ? SOL_IP : SOL_IPV6, SO_ORIGINAL_DST, address, addressLength) !== 0) return undefined
  const { host, port } = destinationIn(address)
  if (port === localPort && (host === localAddress || localAddress === `::ffff:${host}`)) return undefined
  return { host, port }
}

/** `_handle.fd` is not documented, yet present on every accepted socket of Node 20 to 26. */
function fdOf(socket: net.Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null }
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined
}

/** Who is at the other end of a Unix socket, as the kernel knows it (SO_PEERCRED, unix(7)); undefined where it cannot be asked. */
export type Credentials = { readonly pid: number; readonly uid: number; readonly gid: number }
export function credentialsOf(socket: net.Socket): Credentials | undefined {
  const fd = fdOf(socket)
  if (fd === undefined || process.platform !== 'linux') return undefined
  const found = Buffer.alloc(12)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(found.length)
  try {
    if (libc().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, found, length) !== 0) return undefined
  } catch {
    return undefined // without the C library
  }
  return { pid: found.readInt32LE(0), uid: found.readUInt32LE(4), gid: found.readUInt32LE(8) }
}

/**
 * A descriptor of the process at the other end of a Unix socket (SO_PEERPIDFD, Linux 6.5): it stays that process's when its number is given to another. To be closed
 * by `closeFd`; undefined where it cannot be had.
 */
export function processOf(socket: net.Socket): number | undefined {
  const fd = fdOf(socket)
  if (fd === undefined || process.platform !== 'linux') return undefined
  const found = Buffer.alloc(4)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(4)
  try {
    return libc().getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, found, length) === 0 ? found.readInt32LE(0) : undefined
  } catch {
    return undefined // without the C library
  }
}

/** When the socket is closed, its peer sees a reset and what was not sent is dropped (SO_LINGER of 0 s, socket(7)). False where it cannot be set. */
export function resetOnClose(socket: net.Socket): boolean {
  const fd = fdOf(socket)
  if (fd === undefined || process.platform !== 'linux') return false
  try {
    return libc().setsockopt(fd, SOL_SOCKET, SO_LINGER, atOnce, 8) === 0
  } catch {
    return false // without the C library
  }
}

// ── sockets by number: they belong to the network namespace of the thread that makes them ──

/** An unconnected TCP socket: IPv6 ones reach IPv4 too. Throws SystemCallFailed (EAFNOSUPPORT: this kernel has no IPv6). */
export const makeSocket = (ipv6: boolean): number =>
  made('socket', libc().socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0))

/**
 * What a bound socket is for. tcp: connections, which wait in its queue from now on. transparent: those that TPROXY leads here. udp: datagrams. datagrams: those that TPROXY leads here, with where they
 * were going (`receiveDatagram`). flow: one flow of them, bound to where it was going, which several may share; or on port 0, to a port that is its own.
 */
export type Purpose = 'tcp' | 'transparent' | 'udp' | 'datagrams' | 'flow'

/** host: an IP address. Throws SystemCallFailed. */
export function makeListener(purpose: Purpose, host: string, port: number): number {
  const ipv6 = net.isIPv6(host)
  const { socket, bind: bindTo, listen, close } = libc()
  const isStream = purpose === 'tcp' || purpose === 'transparent'
  const kind = isStream ? SOCK_STREAM : SOCK_DGRAM
  // A free port that may be shared is one that another flow has too (udp(7), SO_REUSEADDR): they would hear each other's answers.
  const isShared = purpose === 'flow' && port !== 0
  const fd = made('socket', socket(ipv6 ? AF_INET6 : AF_INET, kind | SOCK_NONBLOCK_CLOEXEC, 0))
  try {
    if (ipv6) switchOn(fd, SOL_IPV6, IPV6_V6ONLY)
    if (isStream || isShared) switchOn(fd, SOL_SOCKET, SO_REUSEADDR)
    if (purpose === 'datagrams') {
      switchOn(fd, ipv6 ? SOL_IPV6 : SOL_IP, ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT)
      switchOn(fd, ipv6 ? SOL_IPV6 : SOL_IP, ipv6 ? IPV6_RECVORIGDSTADDR : IP_RECVORIGDSTADDR)
    }
    if (isShared || purpose === 'transparent') switchOn(fd, ipv6 ? SOL_IPV6 : SOL_IP, ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT)
    const place = socketAddress(host, port)
    made('bind', bindTo(fd, place, place.length), `${host}:${port}`)
    if (isStream) made('listen', listen(fd, 4096))
    return fd
  } catch (thrown) {
    close(fd)
    throw thrown
  }
}

/** For `refuseDatagram`. */
export const makeIcmpSocket = (ipv6: boolean): number =>
  made('socket', libc().socket(ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK_CLOEXEC, ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))

const switchOn = (fd: number, level: number, option: number): number => made('setsockopt', libc().setsockopt(fd, level, option, one, 4))

/**
 * Starts connecting; place is from `socketAddress`. A non-blocking connect(2) always says EINPROGRESS, for it holds the socket's lock; over loopback the answer is there as soon as
 * it lets go. So it is asked a second time: connected, refused (SystemCallFailed; the socket is to be closed), or pending where the listener's queue is full.
 */
export function connectFd(fd: number, place: Buffer): 'connected' | 'pending' | SystemCallFailed {
  const { connect, errno } = libc()
  if (connect(fd, place, place.length) === 0) return 'connected'
  if (errno() !== EINPROGRESS) return new SystemCallFailed('connect', errno())
  if (connect(fd, place, place.length) === 0) return 'connected'
  const number = errno()
  return number === EALREADY ? 'pending' : new SystemCallFailed('connect', number)
}

export const closeFd = (fd: number): void => void libc().close(fd)

const one = Buffer.from([1, 0, 0, 0])
/** struct linger: on, 0 seconds. */
const atOnce = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])

// ── namespaces and mounts of the calling thread ──

const CLONE_NEWNS = 0x20000
const CLONE_NEWNET = 0x40000000
const MS_BIND = 0x1000n
const MS_REC_PRIVATE = 0x44000n

/** This thread, and what it spawns, gets its own network and its own mounts; the other threads keep theirs (unshare(2)). Throws SystemCallFailed. */
export function leaveHost(): void {
  made('unshare', libc().unshare(CLONE_NEWNET | CLONE_NEWNS))
  made('mount', libc().mount('none', '/', 'none', MS_REC_PRIVATE, null), 'private /')
}

/** This thread, and what it spawns, goes into namespaces that it has left, by open `/proc/thread-self/ns/net` and `…/mnt` (setns(2)). Throws SystemCallFailed. */
export function enter(network: number, mounts: number): void {
  made('setns', libc().setns(network, CLONE_NEWNET), 'network')
  made('setns', libc().setns(mounts, CLONE_NEWNS), 'mounts')
}

/** `target` shows `source` from now on, in this thread's mounts only. Throws SystemCallFailed. */
export const mountOver = (source: string, target: string): void =>
  void made('mount', libc().mount(source, target, 'none', MS_BIND, null), target)

/** `target` becomes an empty folder, in this thread's mounts only. Throws SystemCallFailed. */
export const mountEmpty = (target: string): void => void made('mount', libc().mount('tmpfs', target, 'tmpfs', 0n, mode), target)

const mode = Buffer.from('mode=0755\0')
