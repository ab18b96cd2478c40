/** The C library by `node:ffi`: which of its functions are called, and their failures as errors. */

import process from 'node:process'
import { getSystemErrorName } from 'node:util'

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
export function libc(): Libc {
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
    fcntl: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
    recvmsg: { arguments: ['i32', 'pointer', 'i32'], return: 'i64' },
    sendto: { arguments: ['i32', 'pointer', 'u64', 'i32', 'pointer', 'u32'], return: 'i64' },
    setsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'], return: 'i32' },
    getsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'pointer'], return: 'i32' },
    unshare: { arguments: ['i32'], return: 'i32' },
    setns: { arguments: ['i32', 'i32'], return: 'i32' },
    mount: { arguments: ['string', 'string', 'string', 'u64', 'pointer'], return: 'i32' },
    __errno_location: { arguments: [], return: 'pointer' },
  })
  return { ...functions, errno: () => ffi.getInt32(functions.__errno_location()), pointerTo: (bytes: Buffer) => ffi.getRawPointer(bytes) }
}

/** Throws SystemCallFailed for a result below zero. */
export function made(syscall: string, result: number, about = ''): number {
  if (result < 0) throw new SystemCallFailed(syscall, libc().errno(), about)
  return result
}
