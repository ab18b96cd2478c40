/** A process in the mesh: started with its traffic captured, reached through its own loopback, ended with all that it started. */

import { spawn } from 'node:child_process'
import type net from 'node:net'
import { resolve } from 'node:path'
import process from 'node:process'
import type { Exclusions } from '#base/exclusions'
import { findTool } from './namespace/tools.ts'
import { type Exit, type Program, type Stdio, openNamespace } from './namespace.ts'
import { dialTcp } from './net.ts'
import { runShort } from './process.ts'
import { dialUdp, type UdpFlow, type UdpHandlers } from './udp.ts'
import { type Arrivals, listenInside } from './workload/arrivals.ts'
import { Dialling } from './workload/dialling.ts'
import { FlowSockets } from './workload/flow-sockets.ts'
import { requireProgram } from './workload/program.ts'
import { clearAway, send } from './workload/remains.ts'

export { CommandFailed } from './workload/program.ts'
export { CaptureRefused } from './namespace.ts'
export type { DatagramSession } from './udp.ts'

export type WorkloadOptions = Arrivals & {
  readonly command: readonly string[]
  /** The whole environment of the program. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string
  /** The mesh namespace whose services plain names mean. */
  readonly namespace: string
  /** namespace: needs `reexecForCapture` to have said ok. none: the program is on the machine's network; nothing is captured, onConnection and onDnsQuery are never called. */
  readonly capture: 'namespace' | 'none'
  /** TCP that is left out of the mesh goes to `onExcluded`. */
  readonly exclude?: Exclusions
  /** For all three streams, or for each: as this process has it, nothing, or an open file descriptor. Default: inherit. */
  readonly stdio?: Stdio | readonly [Stdio, Stdio, Stdio]
  /** How long TERM may take to end what is left before KILL. Default 5 s. */
  readonly graceMs?: number
}

export type Workload = AsyncDisposable & {
  /** The program itself, not a wrapper. */
  readonly pid: number
  /** Resolves once, as soon as the program ended, before its background children are ended too (disposal waits for those). */
  readonly exited: Promise<Exit>
  signal(name: NodeJS.Signals): void
  /** A connection to 127.0.0.1:port as the workload sees it. Rejects with a system error: ECONNREFUSED, ETIMEDOUT… */
  dial(port: number, options?: { readonly timeoutMs?: number }): Promise<net.Socket>
  /** The same without a promise: `connect` or `error` follows in a later turn. Bytes may be written at once. */
  dialNow(port: number): net.Socket
  /** A flow of datagrams to 127.0.0.1:port as the workload sees it, from a port of its own. */
  dialUdp(port: number, on: UdpHandlers): UdpFlow
  /** Runs a short command where the workload is, with its environment and without output; killed after timeoutMs. 127 where it cannot be started. */
  run(command: readonly string[], timeoutMs: number): Promise<Exit>
}

/**
 * Rejects with CommandFailed (its exitCode is 126 or 127) or CaptureRefused (why and remedy); then nothing runs.
 * The program starts when the proxy's listeners are open, so its first connection is captured already. TERM reaches it when this process dies.
 */
export async function launchWorkload(options: WorkloadOptions): Promise<Workload> {
  const { command, env, stdio = 'inherit' } = options
  const cwd = resolve(options.cwd ?? '.')
  requireProgram(command, env['PATH'], cwd)
  const program: Program = { command, env, cwd, stdio: typeof stdio === 'object' ? stdio : [stdio, stdio, stdio] }
  return options.capture === 'namespace' ? launchCaptured(program, options) : launchPlain(program, options)
}

async function launchCaptured(program: Program, options: WorkloadOptions): Promise<Workload> {
  const { graceMs = 5000 } = options
  await using owned = new AsyncDisposableStack()
  const namespace = owned.use(
    await openNamespace(options.namespace, {
      datagrams: options.onDatagram !== undefined,
      ...(options.exclude === undefined ? {} : { exclude: options.exclude }),
    }),
  )
  const sockets = new FlowSockets(namespace)
  owned.use(await listenInside(namespace, sockets, options))
  const dialling = owned.adopt(new Dialling(namespace), made => made.close())
  const { pid, exited } = await namespace.start(program)
  const gone = exited.then(() => clearAway(namespace.identity, graceMs))
  gone.catch(() => {}) // disposal rejects with it
  const kept = owned.move()
  const signal = onlyWhileRunning(pid, exited)
  const dialNow = (port: number) => dialling.dialNow(port)
  return {
    pid,
    exited,
    dialNow,
    dialUdp: (port, on) => dialUdp('127.0.0.1', port, on, sockets.make({ host: '127.0.0.1', port: 0 })),
    dial: (port, { timeoutMs } = {}) => connected(dialNow(port), port, timeoutMs),
    run: (command, timeoutMs) => namespace.run({ ...program, command, stdio: silent }, timeoutMs),
    signal,
    async [Symbol.asyncDispose]() {
      await using _ = kept
      await end(signal, exited, graceMs)
      await gone
    },
  }
}

/** Without a namespace, background children of the program cannot be told from others, and are left alone. */
async function launchPlain({ command, env, cwd, stdio }: Program, { graceMs = 5000 }: WorkloadOptions): Promise<Workload> {
  const setpriv = process.platform === 'linux' ? findTool('setpriv') : undefined
  const [file = '', ...args] = setpriv ? [setpriv, '--pdeathsig', 'TERM', '--', ...command] : command
  const child = spawn(file, args, { env, cwd, stdio: [...stdio] })
  const exited = new Promise<Exit>(done => child.once('exit', (code, signal) => done({ code, signal })))
  await new Promise<void>((started, failed) => child.once('spawn', started).once('error', failed))
  const pid = child.pid!
  const signal = onlyWhileRunning(pid, exited)
  const dialNow = (port: number) => dialTcp('127.0.0.1', port)
  return {
    pid,
    exited,
    dialNow,
    dialUdp: (port, on) => dialUdp('127.0.0.1', port, on),
    dial: (port, { timeoutMs } = {}) => connected(dialNow(port), port, timeoutMs),
    run: (short, timeoutMs) => runShort(short, { env, cwd }, timeoutMs),
    signal,
    [Symbol.asyncDispose]: () => end(signal, exited, graceMs),
  }
}

const silent = ['ignore', 'ignore', 'ignore'] as const

/** After the end the number may be another process's. */
function onlyWhileRunning(pid: number, exited: Promise<Exit>): (name: NodeJS.Signals) => void {
  let running = true
  const stop = () => {
    running = false
  }
  exited.then(stop, stop)
  return name => {
    if (running) send(pid, name)
  }
}

async function end(signal: (name: NodeJS.Signals) => void, exited: Promise<Exit>, graceMs: number): Promise<void> {
  signal('SIGTERM')
  const timer = setTimeout(signal, graceMs, 'SIGKILL')
  await exited.finally(() => clearTimeout(timer))
}

function connected(socket: net.Socket, port: number, timeoutMs = 0): Promise<net.Socket> {
  return new Promise((done, failed) => {
    const timer =
      timeoutMs > 0
        ? setTimeout(
            () =>
              socket.destroy(Object.assign(new Error(`connect ETIMEDOUT 127.0.0.1:${port}`), { code: 'ETIMEDOUT', syscall: 'connect' })),
            timeoutMs,
          )
        : undefined
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', failed)
      done(socket)
    })
    socket.once('error', failed).once('error', () => clearTimeout(timer))
  })
}
