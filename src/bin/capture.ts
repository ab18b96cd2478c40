/** `weft capture`: a proxy for programs that Weft did not start; the packet filter of the machine brings it their connections. */

import type { CleanOptions, HostOptions, RunOptions } from '#cli/options'
import { captureHost, canCaptureHost, removeLeftovers } from '#io/capture'
import type { AnswerDns } from '#io/dns-server'
import { dialTcp, type Socket } from '#io/net'
import { runShort } from '#io/process'
import { dialUdp } from '#io/udp'
import type { Workload } from '#io/workload'
import type { Core } from '#proxy/core'
import type { RunWorld } from './world.ts'

/** Takes away what captures left behind, or all of them have. */
export async function clean({ all }: CleanOptions, say: (text: string) => void): Promise<number> {
  const verdict = canCaptureHost()
  if (!verdict.ok) {
    say(`weft: ${verdict.why}. ${verdict.remedy}`)
    return 1
  }
  const gone = await removeLeftovers(all ? 'all' : 'dead')
  say(gone.length === 0 ? 'weft: nothing was left behind' : `weft: rules of ${gone.map(pid => `process ${pid}`).join(', ')} are taken away`)
  return 0
}

/** The programs of this machine in the place of one that was started: it ends when it is told to. */
export async function adoptHost(
  host: HostOptions,
  options: RunOptions,
  core: Core,
  onDnsQuery: AnswerDns,
  { say, log, env }: RunWorld,
): Promise<Workload> {
  const ports = options.ports.map(({ port }) => port)
  const capture = await captureHost({
    select: host.select,
    exclude: options.exclude,
    inbound: ports,
    mode: host.transparent ? 'tproxy' : 'redirect',
    onConnection: (socket, destination) => core.outbound(socket, destination),
    onCaller: (socket, destination) => core.intercepted(socket, destination.port),
    onDnsQuery,
  })
  for (const pid of capture.cleaned) log.warn(`rules that process ${pid} had left behind are taken away`)
  say(`weft: ${described(host)} ${ports.length > 0 ? `and callers of port ${ports.join(', ')} ` : ''}are captured (${capture.says})`)
  const { promise: exited, resolve } = Promise.withResolvers<Awaited<Workload['exited']>>()
  const end = async (): Promise<void> => {
    // First the rules: from now on programs are as without the mesh, and what is under way is carried to its end.
    await capture[Symbol.asyncDispose]()
    resolve({ code: 0, signal: null })
  }
  const dialNow = (port: number): Socket => dialTcp('127.0.0.1', port)
  return {
    pid: process.pid,
    exited,
    signal: name => void (['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'].includes(name) && end()),
    dialNow,
    dialUdp: (port, on) => dialUdp('127.0.0.1', port, on),
    dial: (port, { timeoutMs = 0 } = {}) => connected(dialNow(port), timeoutMs),
    run: (command, timeoutMs) => runShort(command, { env, cwd: process.cwd() }, timeoutMs),
    [Symbol.asyncDispose]: end,
  }
}

function described({ select: { uids, cgroups, all } }: HostOptions): string {
  if (all) return 'all connections of this machine'
  return `connections of ${[...uids.map(uid => `user ${uid}`), ...cgroups.map(cgroup => `cgroup ${cgroup}`)].join(', ')}`
}

function connected(socket: Socket, timeoutMs: number): Promise<Socket> {
  return new Promise((done, failed) => {
    const late = () => socket.destroy(Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT', syscall: 'connect' }))
    const timer = timeoutMs > 0 ? setTimeout(late, timeoutMs) : undefined
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', failed)
      done(socket)
    })
    socket.once('error', error => {
      clearTimeout(timer)
      failed(error)
    })
  })
}
