/** Starts proxies and load pinned to their cores, reads what they cost from /proc, and ends only what it started. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { openSync, closeSync, readFileSync } from 'node:fs'
import net from 'node:net'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { program } from './peer.ts'

/** Proxies share one core; load and application the other. */
export const cores = { proxies: '0', load: '1' } as const
export const isPinned = cpus().length > 1 && program('taskset') !== undefined

export const pinned = (core: string, command: readonly string[]): readonly string[] =>
  isPinned ? ['taskset', '-c', core, ...command] : command

export class Processes implements AsyncDisposable {
  readonly #folder: string
  readonly #running = new Set<ChildProcess>()

  /** folder: for logs. */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** Resolves when the port takes connections. Rejects with the end of what the program said. */
  async start(core: string, command: readonly string[], port: number): Promise<ChildProcess> {
    const log = join(this.#folder, `${port}.log`)
    const out = openSync(log, 'w')
    const [file = '', ...args] = pinned(core, command)
    const child = spawn(file, args, { stdio: ['ignore', out, out], cwd: this.#folder })
    closeSync(out)
    this.#running.add(child)
    child.once('exit', () => this.#running.delete(child))
    let isOver = false
    child.once('error', () => (isOver = true))
    for (let tries = 0; tries < 400 && !isOver && child.exitCode === null; tries++) {
      if (await answers(port)) return child
      await new Promise(resolve => setTimeout(resolve, 25))
    }
    await this.stop(child)
    throw new Error(`${command[0]} does not listen on ${port}: ${readFileSync(log, 'utf8').trim().slice(-500) || 'it said nothing'}`)
  }

  /** Asks to end, and insists after two seconds. */
  async stop(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
    const over = new Promise<void>(resolve => child.once('exit', () => resolve()))
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 2000)
    await over
    clearTimeout(timer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running].map(child => this.stop(child)))
  }
}

const answers = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = net.connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

/** Free a moment ago; the caller takes it at once. */
export async function freePort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

const ticksPerSecond = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout) || 100

/** Seconds of user and system time of these processes and their children (nginx has a worker), from /proc/PID/stat (proc(5)). */
export function cpuSeconds(children: readonly ChildProcess[]): number {
  let ticks = 0
  for (const pid of children.flatMap(family)) {
    // The name of the program, which may hold blanks, stands in parentheses before the other fields.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    ticks += Number(fields[11]) + Number(fields[12])
  }
  return ticks / ticksPerSecond
}

/** Resident memory; what processes share is counted in each. */
export function rssMiB(children: readonly ChildProcess[]): number {
  let kib = 0
  for (const pid of children.flatMap(family)) kib += Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  return kib / 1024
}

function family({ pid }: ChildProcess): readonly string[] {
  return [String(pid), ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)]
}
