/**
 * What the kernel says of the process at the other end of a Unix socket: who runs it, which program it is, where it runs, who started it.
 *
 * A process number is given to another process when its owner has ended, so nothing is read by number alone: the descriptor of the process (pidfd) must say before
 * and after that the number is still its own. Where a kernel has no such descriptors (before 6.5), the time at which the process started must stay the same, and
 * must not be later than the connection.
 */

import { createHash } from 'node:crypto'
import { createReadStream, type BigIntStats } from 'node:fs'
import { open, readFile, readlink, stat } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { uptime } from 'node:os'
import { closeFd, type Credentials, credentialsOf, processOf } from './sockopt.ts'

/** What could not be found out is absent. path: of the program, in the mounts of this process; absent where the process has others. sha256: hex, of the program as it runs. parent: path of the program that started it. cgroup: such as /system.slice/web.service. */
export type ProcessFacts = Credentials & {
  readonly path?: string
  readonly sha256?: string
  readonly parent?: string
  readonly cgroup?: string
  /** Why something is absent, for the log. */
  readonly unknown: readonly string[]
}

/** It ended; its number may be that of another one now. */
export class ProcessGone extends Error {}

export type PeerProcess = {
  readonly credentials: Credentials
  /** Read anew each time: a process may become another program (execve). Rejects with ProcessGone when it is no more. withSha256: its program is read whole. */
  facts(withSha256: boolean): Promise<ProcessFacts>
  close(): void
}

/** Ask at once when the connection is accepted. Undefined where the kernel does not say who it is. */
export function peerProcess(socket: Socket): PeerProcess | undefined {
  const credentials = credentialsOf(socket)
  // 0: it is in a namespace of processes whose numbers are not known here (pid_namespaces(7)).
  if (credentials === undefined || credentials.pid <= 0) return undefined
  const descriptor = processOf(socket)
  const acceptedAt = uptime()
  let isClosed = false
  return {
    credentials,
    async facts(withSha256) {
      const { pid } = credentials
      const mark = async (): Promise<string | undefined> => (isClosed ? undefined : markOf(pid, descriptor, acceptedAt))
      const before = await mark()
      if (before === undefined) throw new ProcessGone(`the process ${pid} that connected has ended`)
      const unknown: string[] = []
      const look = async <T>(what: string, read: () => Promise<T | undefined>): Promise<T | undefined> => {
        try {
          return await read()
        } catch (thrown) {
          unknown.push(`${what}: ${(thrown as Error).message}`)
          return undefined
        }
      }
      const proc = `/proc/${pid}`
      const hasOurMounts = await look('mounts', async () => (await readlink(`${proc}/ns/mnt`)) === (await readlink('/proc/self/ns/mnt')))
      const path = hasOurMounts === true ? await look('path', () => programOf(pid)) : undefined
      if (hasOurMounts === false) unknown.push('path: the process has mounts of its own, where the same path may be another file')
      const sha256 = withSha256 ? await look('sha256', () => digestOf(`${proc}/exe`)) : undefined
      const parent = await look('parent', async () => {
        const ppid = Number(fieldOf(await readFile(`${proc}/stat`, 'latin1'), 4))
        return ppid > 1 ? programOf(ppid) : undefined
      })
      const cgroup = await look('cgroup', async () => /^0::(.*)$/m.exec(await readFile(`${proc}/cgroup`, 'utf8'))?.[1])
      if ((await mark()) !== before) throw new ProcessGone(`the process ${pid} that connected has ended`)
      return {
        ...credentials,
        unknown,
        ...(path === undefined ? {} : { path }),
        ...(sha256 === undefined ? {} : { sha256 }),
        ...(parent === undefined ? {} : { parent }),
        ...(cgroup === undefined ? {} : { cgroup }),
      }
    },
    close() {
      if (!isClosed && descriptor !== undefined) closeFd(descriptor)
      isClosed = true
    },
  }
}

/** The same as long as the number is that of the same, living process; undefined: it is not. */
async function markOf(pid: number, descriptor: number | undefined, acceptedAt: number): Promise<string | undefined> {
  try {
    if (descriptor !== undefined) {
      const owner = /^Pid:\s*(-?\d+)$/m.exec(await readFile(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1]
      if (Number(owner) !== pid) return undefined
    }
    const text = await readFile(`/proc/${pid}/stat`, 'latin1')
    if (/[ZX]/.test(fieldOf(text, 3))) return undefined
    // In hundredths of a second since the machine started (proc_pid_stat(5); USER_HZ is 100 wherever Node runs).
    const startedAt = Number(fieldOf(text, 22)) / 100
    return descriptor === undefined && startedAt > acceptedAt + 0.01 ? undefined : String(startedAt)
  } catch {
    return undefined
  }
}

/** Counted from 1; the second, the name, may hold anything, so it is counted from behind it. */
const fieldOf = (text: string, nth: number): string => text.slice(text.lastIndexOf(')') + 2).split(' ')[nth - 3] ?? ''

/** The file itself, whatever links led to it. A file that was replaced since is not that of the path any more. */
async function programOf(pid: number): Promise<string> {
  const link = `/proc/${pid}/exe`
  const path = await readlink(link)
  const [running, there] = await Promise.all([stat(link), stat(path).catch(() => undefined)])
  if (there === undefined || running.ino !== there.ino || running.dev !== there.dev)
    throw new Error(`the program at ${path.replace(/ \(deleted\)$/, '')} was replaced or removed since the process started`)
  return path
}

/** A program does not change while it runs (ETXTBSY); by what the file says it is known again. */
const known = new Map<string, string>()
const mostKnown = 500

async function digestOf(link: string): Promise<string> {
  const file = await open(link)
  try {
    const key = keyOf(await file.stat({ bigint: true }))
    const found = known.get(key)
    if (found !== undefined) return found
    const hash = createHash('sha256')
    await pipeline(createReadStream('', { fd: file.fd, autoClose: false, start: 0 }), hash)
    const sha256 = hash.digest('hex')
    if (keyOf(await file.stat({ bigint: true })) !== key) throw new Error('the program changed while it was read')
    if (known.size >= mostKnown) known.clear()
    known.set(key, sha256)
    return sha256
  } finally {
    await file.close()
  }
}

const keyOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string => [dev, ino, size, mtimeNs, ctimeNs].join()
