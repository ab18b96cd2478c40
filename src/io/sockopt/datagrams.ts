/** Datagrams with where they were going (ip(7): IP_RECVORIGDSTADDR), which Node's own sockets do not tell; and how one of them is refused. */

import process from 'node:process'
import { AF_INET6, type Destination, destinationIn, socketAddress } from './address.ts'
import { libc, made } from './libc.ts'

export type Datagram = { readonly bytes: Uint8Array; readonly from: Destination; readonly to: Destination }

/** linux/fcntl.h */
const F_GETFL = 3
const F_SETFL = 4
const F_SETOWN = 8
const O_ASYNC = 0o20000

/** From now on SIGIO comes to this process when something can be read (fcntl(2)): Node has no other way to wait for a socket that it does not read itself. */
export function signalWhenReadable(fd: number): void {
  const { fcntl } = libc()
  made('fcntl', fcntl(fd, F_SETOWN, process.pid))
  made('fcntl', fcntl(fd, F_SETFL, made('fcntl', fcntl(fd, F_GETFL, 0)) | O_ASYNC))
}

const name = Buffer.alloc(28)
const content = Buffer.alloc(65_536)
const control = Buffer.alloc(128)
const vector = Buffer.alloc(16)
/** A struct msghdr of 64-bit Linux. */
const message = Buffer.alloc(56)

/** The next one that waits; undefined when none does. */
export function receiveDatagram(fd: number): Datagram | undefined {
  const { recvmsg, pointerTo } = libc()
  vector.writeBigUInt64LE(pointerTo(content), 0)
  vector.writeBigUInt64LE(BigInt(content.length), 8)
  message.writeBigUInt64LE(pointerTo(name), 0)
  message.writeUInt32LE(name.length, 8)
  message.writeBigUInt64LE(pointerTo(vector), 16)
  message.writeBigUInt64LE(1n, 24)
  message.writeBigUInt64LE(pointerTo(control), 32)
  message.writeBigUInt64LE(BigInt(control.length), 40)
  const count = Number(recvmsg(fd, message, 0))
  // Without its destination a datagram can be sent nowhere. The header of a control message is 16 bytes (cmsg(3)); ours is the only one that was asked for.
  if (count < 0 || message.readBigUInt64LE(40) < 32n) return undefined
  return { bytes: Uint8Array.from(content.subarray(0, count)), from: destinationIn(name), to: destinationIn(control, 16) }
}

/**
 * Tells who sent a datagram that nobody is there: "port unreachable" (RFC 792, RFC 4443 §3.1), which a connected socket meets as ECONNREFUSED.
 * fd: of `makeIcmpSocket`, in the network namespace of the sender. What cannot be sent is not told.
 */
export function refuseDatagram(fd: number, { bytes, from, to }: Datagram): void {
  const packet = from.host.includes(':') ? unreachableSix(from, to, bytes.length) : unreachableFour(from, to, bytes.length)
  const place = socketAddress(from.host, 0)
  libc().sendto(fd, packet, BigInt(packet.length), 0, place, place.length)
}

/** UDP's header as it was; its checksum is not looked at. */
function udpHeader(from: Destination, to: Destination, length: number): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt16BE(from.port, 0)
  header.writeUInt16BE(to.port, 2)
  header.writeUInt16BE(8 + length, 4)
  return header
}

const addressIn = (host: string): Buffer => {
  const place = socketAddress(host, 0)
  return place.readUInt16LE(0) === AF_INET6 ? place.subarray(8, 24) : place.subarray(4, 8)
}

function unreachableFour(from: Destination, to: Destination, length: number): Buffer {
  const icmp = Buffer.from([3, 3, 0, 0, 0, 0, 0, 0])
  const ip = Buffer.alloc(20)
  ip[0] = 0x45
  ip.writeUInt16BE(28 + length, 2)
  ip[8] = 64
  ip[9] = 17
  addressIn(from.host).copy(ip, 12)
  addressIn(to.host).copy(ip, 16)
  ip.writeUInt16BE(checksum(ip), 10)
  const packet = Buffer.concat([icmp, ip, udpHeader(from, to, length)])
  packet.writeUInt16BE(checksum(packet), 2)
  return packet
}

/** The kernel fills in the checksum of ICMPv6 (raw(7), RFC 3542 §3.1). */
function unreachableSix(from: Destination, to: Destination, length: number): Buffer {
  const icmp = Buffer.from([1, 4, 0, 0, 0, 0, 0, 0])
  const ip = Buffer.alloc(40)
  ip[0] = 0x60
  ip.writeUInt16BE(8 + length, 4)
  ip[6] = 17
  ip[7] = 64
  addressIn(from.host).copy(ip, 8)
  addressIn(to.host).copy(ip, 24)
  return Buffer.concat([icmp, ip, udpHeader(from, to, length)])
}

/** RFC 1071. Of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
