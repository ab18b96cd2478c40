/** The application behind the proxies and the load in front of them: a small Go program where there is Go, else the same in Node. */

import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { program } from './peer.ts'
import { cores, freePort, pinned, type Processes } from './processes.ts'

/** Latencies in microseconds; with a rate from the intended moment of sending (see generator/main.go). */
export type LoadResult = {
  readonly good: number
  readonly failed: number
  readonly why?: string
  readonly seconds: number
  readonly p50: number
  readonly p99: number
  readonly bytes: number
}

export type LoadOptions = {
  readonly mode?: 'http' | 'tcp' | 'bulk'
  readonly connections?: number
  readonly seconds?: number
  readonly rate?: number
  readonly size?: number
}

export type Generator = {
  readonly command: readonly string[]
  /** What it is, with what to mind about its figures. */
  readonly says: string
}

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))

/** folder: where the program is built. */
export function makeGenerator(folder: string): Generator {
  const go = program('go')
  const file = join(folder, 'generator')
  const built = go === undefined ? undefined : spawnSync(go, ['build', '-o', file, '.'], { cwd: here('generator'), encoding: 'utf8' })
  if (built?.status === 0) return { command: [file], says: 'bench/generator/main.go' }
  const why = built === undefined ? 'there is no Go' : `Go could not build main.go: ${built.stderr.trim().split('\n').at(-1)}`
  return {
    command: [process.execPath, here('generator/node.ts')],
    says: `bench/generator/node.ts, since ${why}: it needs more CPU, so fast proxies wait for it and look worse than they are; latencies at a fixed rate hold up to a millisecond of its own`,
  }
}

/** Starts the application on the core of the load. */
export async function startApplication({ command }: Generator, processes: Processes): Promise<{ http: number; tcp: number }> {
  const http = await freePort()
  const tcp = await freePort()
  await processes.start(cores.load, [...command, 'backend', String(http), String(tcp)], http)
  return { http, tcp }
}

export async function load({ command }: Generator, port: number, options: LoadOptions): Promise<LoadResult> {
  const given = Object.entries({ port, ...options }).flatMap(([name, value]) => [`--${name}`, String(value)])
  const [file = '', ...args] = pinned(cores.load, [...command, 'load', ...given])
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const text = (await child.stdout.toArray()).join('')
  if (text === '') throw new Error(`the load on port ${port} ended without a result`)
  const result = JSON.parse(text) as LoadResult
  if (result.good === 0 || result.failed > result.good / 1000)
    throw new Error(`${result.failed} of ${result.good + result.failed} failed: ${result.why ?? ''}`)
  return result
}

/** Runs `look` while so many connections that served once stay open. */
export async function whileHolding<Seen>({ command }: Generator, port: number, connections: number, look: () => Seen): Promise<Seen> {
  const holding = [...command, 'load', '--mode', 'hold', '--port', String(port), '--connections', String(connections)]
  const [file = '', ...args] = pinned(cores.load, holding)
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const over = new Promise<void>(resolve => child.once('close', () => resolve()))
  try {
    const isHeld = await Promise.race([new Promise(resolve => child.stdout.once('data', () => resolve(true))), over.then(() => false)])
    if (isHeld === false) throw new Error(`${connections} connections could not be held`)
    return look()
  } finally {
    child.stdin.end()
    await over
  }
}
