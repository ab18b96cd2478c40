/** The C library calls that Node has no words for: making sockets in this thread's network namespace, connecting them by number, asking where a redirected connection was going. */

import net from 'node:net'
import process from 'node:process'
import { getSystemErrorName } from 'node:util'

export type Destination = { readonly host: string; readonly port: number }

/** linux/socket.h and its relatives; the same on every 64-bit architecture that Node runs on. */
const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_NONBLOCK_CLOEXEC = 0o2004000
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SOL_IP = 0
const SOL_IPV6 = 41
const IPV6_V6ONLY = 26
/** linux/netfilter_ipv4.h; IP6T_SO_ORIGINAL_DST has the same number. */
const SO_ORIGINAL_DST = 80
const EALREADY = 114
const EINPROGRESS = 115

/** The call failed: `code` is the errno's name as Node writes it (`EPERM`). */
export class SystemCallFailed extends Error {
  readonly syscall: string
  readonly errno: number
  readonly code: string
  constructor(syscall: string, errno: number, about = '') {
    const code = getSystemErrorName(-errno)
    super(`${syscall} ${code}${about === '' ? '' : ` ${about}`}`)
    this.name = 'SystemCallFailed'
    this.syscall = syscall
    this.errno = -errno
    this.code = code
  }
}

type Libc = ReturnType<typeof bind>
let bound: Libc | undefined

/** Opened at the first call, so that machines without `node:ffi` can import this file. Throws a sentence that says what is missing. */
function libc(): Libc {
  bound ??= bind()
  return bound
}

function bind() {
  const ffi = process.getBuiltinModule('node:ffi')
  if (ffi === undefined)
    throw new Error(`Node ${process.version} has no node:ffi here: use Node 26.10 or newer, without --no-experimental-ffi`)
  const { functions } = ffi.dlopen(null, {
    socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
    bind: { arguments: ['i32', 'pointer', 'u32'], return: 'i32' },
    listen: { arguments: ['i32', 'i32'], return: 'i32' },
    connect: { arguments: ['i32', 'pointer', 'u32'], return: 'i32' },
    close: { arguments: ['i32'], return: 'i32' },
    setsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'], return: 'i32' },
    getsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'pointer'], return: 'i32' },
    unshare: { arguments: ['i32'], return: 'i32' },
    mount: { arguments: ['string', 'string', 'string', 'u64', 'pointer'], return: 'i32' },
    __errno_location: { arguments: [], return: 'pointer' },
  })
  return { ...functions, errno: () => ffi.getInt32(functions.__errno_location()) }
}

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
  const port = address.readUInt16BE(2)
  const host = ipv4 ? `${address[4]}.${address[5]}.${address[6]}.${address[7]}` : ipv6Text(address)
  if (port === localPort && (host === localAddress || localAddress === `::ffff:${host}`)) return undefined
  return { host, port }
}

/** `_handle.fd` is not documented, yet present on every accepted socket of Node 20 to 26. */
function fdOf(socket: net.Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null }
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined
}

/** From a sockaddr_in6: the address stands at byte 8. */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(8 + 2 * group).toString(16))
  return new net.SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address
}

// ── sockets by number: they belong to the network namespace of the thread that makes them ──

/** An unconnected TCP socket: IPv6 ones reach IPv4 too. Throws SystemCallFailed (EAFNOSUPPORT: this kernel has no IPv6). */
export const makeSocket = (ipv6: boolean): number =>
  made('socket', libc().socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0))

/** A bound socket, for TCP listening already: connections wait in its queue from now on. host: an IP address. */
export function makeListener(kind: 'tcp' | 'udp', host: string, port: number): number {
  const ipv6 = net.isIPv6(host)
  const { socket, bind: bindTo, listen, setsockopt, close } = libc()
  const fd = made('socket', socket(ipv6 ? AF_INET6 : AF_INET, (kind === 'tcp' ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK_CLOEXEC, 0))
  try {
    if (ipv6) made('setsockopt', setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, one, 4))
    if (kind === 'tcp') made('setsockopt', setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one, 4))
    const place = socketAddress(host, port)
    made('bind', bindTo(fd, place, place.length), `${host}:${port}`)
    if (kind === 'tcp') made('listen', listen(fd, 4096))
    return fd
  } catch (thrown) {
    close(fd)
    throw thrown
  }
}

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

/** A sockaddr_in or sockaddr_in6. `::ffff:127.0.0.1` is how an IPv6 socket names an IPv4 address. */
export function socketAddress(host: string, port: number): Buffer {
  const ipv6 = net.isIPv6(host)
  const place = Buffer.alloc(ipv6 ? 28 : 16)
  place.writeUInt16LE(ipv6 ? AF_INET6 : AF_INET, 0)
  place.writeUInt16BE(port, 2)
  if (ipv6) groupsOf(host).forEach((group, at) => place.writeUInt16BE(group, 8 + 2 * at))
  else host.split('.').forEach((part, at) => place.writeUInt8(Number(part), 4 + at))
  return place
}

function groupsOf(host: string): number[] {
  const plain = host.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, a, b, c, d) => `${((+a << 8) | +b).toString(16)}:${((+c << 8) | +d).toString(16)}`,
  )
  const [head = '', tail] = plain.split('::')
  const read = (part: string) => (part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16)))
  if (tail === undefined) return read(head)
  const [left, right] = [read(head), read(tail)]
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right]
}

const one = Buffer.from([1, 0, 0, 0])

function made(syscall: string, result: number, about = ''): number {
  if (result < 0) throw new SystemCallFailed(syscall, libc().errno(), about)
  return result
}

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

/** `target` shows `source` from now on, in this thread's mounts only. Throws SystemCallFailed. */
export const mountOver = (source: string, target: string): void =>
  void made('mount', libc().mount(source, target, 'none', MS_BIND, null), target)

/** `target` becomes an empty folder, in this thread's mounts only. Throws SystemCallFailed. */
export const mountEmpty = (target: string): void => void made('mount', libc().mount('tmpfs', target, 'tmpfs', 0n, mode), target)

const mode = Buffer.from('mode=0755\0')
