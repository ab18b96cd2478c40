/** The application behind the proxies and the load in front of them: a small Go program where there is Go, else the same in Node. */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
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
  /** mtls: a new connection for each request. grpc: unary calls, eight streams a connection. */
  readonly mode?: 'http' | 'tcp' | 'bulk' | 'mtls' | 'grpc'
  readonly connections?: number
  readonly seconds?: number
  readonly rate?: number
  readonly size?: number
  /** Bytes of a POST; absent: GET. */
  readonly body?: number
  /** Folder with certificates, for mtls. */
  readonly certs?: string
}

/** Ports of the application. */
export type Application = { readonly http: number; readonly tcp: number; readonly grpc: number }

export type Generator = {
  readonly command: readonly string[]
  /** What it is, with what to mind about its figures. */
  readonly says: string
  /** What it cannot do, and why. */
  readonly lacks?: { readonly modes: readonly string[]; readonly why: string }
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
    lacks: { modes: ['mtls', 'grpc'], why },
    command: [process.execPath, here('generator/node.ts')],
    says: `bench/generator/node.ts, since ${why}: it needs more CPU, so fast proxies wait for it and look worse than they are; latencies at a fixed rate hold up to a millisecond of its own`,
  }
}

/** Starts the application on the core of the load. */
export async function startApplication({ command }: Generator, processes: Processes): Promise<Application> {
  const http = await freePort()
  const tcp = await freePort()
  const grpc = await freePort()
  await processes.start(cores.load, [...command, 'backend', String(http), String(tcp), String(grpc)], http)
  return { http, tcp, grpc }
}

export async function load({ command }: Generator, port: number, options: LoadOptions): Promise<LoadResult> {
  const tool = options.mode === 'grpc' ? program('h2load') : undefined
  const { certs, ...plain } = options
  const given = Object.entries({ port, ...plain, ...(options.mode === 'mtls' ? { certs } : {}) }).flatMap(([name, value]) => [
    `--${name}`,
    String(value),
  ])
  if (tool !== undefined) return checked(await loadH2(tool, port, options), port)
  const [file = '', ...args] = pinned(cores.load, [...command, 'load', ...given])
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const text = (await child.stdout.toArray()).join('')
  if (text === '') throw new Error(`the load on port ${port} ended without a result`)
  return checked(JSON.parse(text) as LoadResult, port)
}

function checked(result: LoadResult, port: number): LoadResult {
  if (result.good === 0 || result.failed > result.good / 1000)
    throw new Error(`${result.failed} of ${result.good + result.failed} failed on port ${port}: ${result.why ?? ''}`)
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

/** Unary calls by h2load (nghttp2), which costs less than a client in Go: eight streams a connection, a message of 100 bytes. */
async function loadH2(tool: string, port: number, { seconds = 3, connections = 8 }: LoadOptions): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-h2load-'))
  try {
    const message = join(folder, 'message')
    const log = join(folder, 'log')
    // A message as gRPC frames it: a byte for compression, four for its length.
    writeFileSync(message, Buffer.concat([Buffer.from([0, 0, 0, 0, 100]), Buffer.alloc(100, 'm')]))
    const whole = Math.max(1, Math.round(seconds))
    const flags = ['-D', String(whole), '-c', String(connections), '-m', '8', '-t', '1', '-d', message, `--log-file=${log}`]
    const fields = ['-H', 'content-type: application/grpc', '-H', 'te: trailers']
    const [file = '', ...args] = pinned(cores.load, [tool, ...flags, ...fields, `http://127.0.0.1:${port}/bench.Echo/Unary`])
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const said = (await child.stdout.toArray()).join('')
    const rows = existsSync(log) ? readFileSync(log, 'utf8').split('\n') : []
    const took: number[] = []
    let failed = 0
    for (const row of rows) {
      const [, status, us] = row.split('\t')
      if (status === '200') took.push(Number(us))
      else if (status !== undefined) failed++
    }
    const sorted = Float64Array.from(took).sort()
    const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0
    const why = took.length > 0 && failed === 0 ? {} : { why: said.trim().split('\n').slice(-4).join(' ') }
    return { good: took.length, failed, seconds: whole, p50: at(0.5), p99: at(0.99), bytes: 0, ...why }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
