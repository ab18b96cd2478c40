/** A network namespace for one workload, made without root: may this machine do it, become a process that can, and open one. */

import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import process from 'node:process'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { type Exclusions, noExclusions } from '#base/exclusions'
import { CAP_NET_ADMIN, CAP_SYS_ADMIN, holds } from './namespace/capabilities.ts'
import type { Batch, Beginning, Exit, Listeners, News, Order, Program, Told, Tools } from './namespace/messages.ts'
import { hosts, resolvConf } from './namespace/names.ts'
import { CaptureRefused, explain, missing, packages, type Machine, type Refusal, type Tool, type Verdict } from './namespace/refusal.ts'
import { capture, links } from './namespace/rules.ts'
import { findTool, run } from './namespace/tools.ts'
import { requireFfi } from './sockopt.ts'

export { CaptureRefused } from './namespace/refusal.ts'
export type { Verdict } from './namespace/refusal.ts'
export type { Exit, Program, Stdio } from './namespace/messages.ts'

/** Says to the next program image that it has been through `unshare`: without it, a machine where capabilities get lost would go round for ever. */
const marker = 'WEFT_CAPTURING'

/**
 * May a workload be captured here? Tries it whole, in namespaces that are gone a moment later (about 30 ms). Never rejects.
 * `why` and `remedy` are sentences without a final stop.
 */
export async function canCapture(): Promise<Verdict> {
  if (process.platform !== 'linux')
    return {
      ok: false,
      why: `transparent capture needs Linux, this is ${process.platform}`,
      remedy: 'weft run still works through HTTP_PROXY and a loopback address per service',
    }
  const ffi = checkFfi()
  if (ffi) return ffi
  const absent = (Object.keys(packages) as Tool[]).filter(tool => findTool(tool) === undefined)
  if (absent.length > 0) return missing(absent)
  const unshare = findTool('unshare')!
  const rehearsal = [
    unshare,
    '--net',
    '--mount',
    '/bin/sh',
    '-c',
    rehearse,
    'sh',
    findTool('ip')!,
    findTool('nft')!,
    findTool('mount')!,
    links(hasIpv6()),
    capture(),
  ]
  const [file = '', ...args] = isInside() ? rehearsal : [unshare, '--map-current-user', '--keep-caps', ...rehearsal]
  const { code, says } = await run(file, args)
  return code === 0 ? { ok: true } : explain(`${says.trim()} `, machine())
}

/** The same calls as namespace/inside.ts makes, by the tools of the machine. */
const rehearse =
  'set -e; printf %s "$4" | "$1" -batch -; printf %s "$5" | "$2" -f -; for f in /etc/resolv.conf /etc/hosts; do [ ! -e $f ] || "$3" --bind $f $f; done'

/**
 * Makes this process one that can open namespaces. As root it is one already. Otherwise it asks `canCapture` and then *replaces itself* (execve: the same process id,
 * streams, arguments and environment) by itself under `unshare --map-current-user --keep-caps`: its own user namespace, where it keeps its own user id and holds all capabilities,
 * the network still the machine's. Call it first thing, before anything is opened; it returns only in the new image, or with the reason why not.
 */
export async function reexecForCapture(): Promise<Verdict> {
  const returned = process.env[marker] !== undefined
  delete process.env[marker] // not the program's business
  if (isInside()) return { ok: true }
  if (returned)
    return {
      ok: false,
      why: 'the capabilities of the new user namespace did not reach this process',
      remedy: 'is `node` a wrapper, or a file with capabilities of its own? Start the plain binary',
    }
  const verdict = await canCapture()
  if (!verdict.ok) return verdict
  if (process.execve === undefined)
    return { ok: false, why: `Node ${process.version} cannot replace itself (process.execve)`, remedy: 'use Node 26.10 or newer' }
  const args = ['unshare', '--map-current-user', '--keep-caps', process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  return process.execve(findTool('unshare')!, args, { ...process.env, [marker]: '1' })
}

/** Has this process the two capabilities (capabilities(7): CAP_NET_ADMIN 12, CAP_SYS_ADMIN 21) over the user namespace it lives in? Root on the machine has, root in most containers has not, and who went through `reexecForCapture` has. */
export const isInside = (): boolean => holds(CAP_NET_ADMIN, CAP_SYS_ADMIN)

const hasIpv6 = (): boolean => existsSync('/proc/net/if_inet6')

function machine(): Machine {
  return {
    root: process.getuid?.() === 0,
    apparmorRestricts: readText('/proc/sys/kernel/apparmor_restrict_unprivileged_userns').trim() === '1',
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** An open namespace. Its listeners are bound, its sockets are made there and used from here. */
export type Namespace = AsyncDisposable & {
  readonly listeners: Listeners
  /** As `/proc/PID/ns/net` shows it. */
  readonly identity: string
  readonly ipv6: boolean
  /** The first sockets; more come from `sockets`. */
  readonly first: Batch
  readonly sockets: MessagePort
  readonly served: Int32Array<SharedArrayBuffer>
  /** UDP sockets of flows, one for each that is asked for. */
  readonly flows: MessagePort
  /** Starts the one program. Rejects with a system error (`code`) when it cannot be. */
  start(program: Program): Promise<{ readonly pid: number; readonly exited: Promise<Exit> }>
  /** Runs a short program beside it, and kills it after timeoutMs; 127 where it cannot be started. */
  run(program: Program, timeoutMs: number): Promise<Exit>
}

/** What is captured beside TCP and DNS, and what is left out of the mesh. */
export type NamespaceOptions = { readonly datagrams?: boolean; readonly exclude?: Exclusions }

/** namespace: the mesh namespace whose services plain names mean. Rejects with CaptureRefused. The thread inside ends at disposal, and with it a program that still runs. */
export async function openNamespace(namespace: string, options: NamespaceOptions = {}): Promise<Namespace> {
  const { datagrams = false, exclude = noExclusions } = options
  const tools = requireTools()
  const { port1: sockets, port2 } = new MessageChannel()
  const { port1: flows, port2: flowsInside } = new MessageChannel()
  const served = new Int32Array(new SharedArrayBuffer(4))
  const ipv6 = hasIpv6()
  const beginning: Beginning = {
    tools,
    ipv6,
    served,
    sockets: port2,
    flows: flowsInside,
    datagrams,
    exclude,
    root: process.getuid?.() === 0,
    resolvConf: resolvConf(namespace, readText('/etc/resolv.conf')),
    hosts: hosts(hostname(), readText('/etc/hosts')),
  }
  sockets.unref()
  flows.unref()
  const inside = new Inside()
  try {
    const isReady = inside.heard('ready')
    inside.order({ type: 'open', id: inside.id, beginning }, [port2, flowsInside])
    const ready = await isReady
    return {
      ...ready,
      ipv6,
      sockets,
      served,
      flows,
      start: program => start(inside, program),
      run: (program, timeoutMs) => inside.run(program, timeoutMs),
      [Symbol.asyncDispose]: () => close(inside, [sockets, flows]),
    }
  } catch (thrown) {
    await close(inside, [sockets, flows])
    throw thrown
  }
}

function requireTools(): Tools {
  const ffi = checkFfi()
  if (ffi) throw new CaptureRefused(ffi)
  const absent = (['ip', 'nft', 'setpriv'] as const).filter(tool => findTool(tool) === undefined)
  if (absent.length > 0) throw new CaptureRefused(missing(absent))
  return { ip: findTool('ip')!, nft: findTool('nft')!, setpriv: findTool('setpriv')! }
}

function checkFfi(): Refusal | undefined {
  try {
    requireFfi()
    return undefined
  } catch (thrown) {
    return { ok: false, why: (thrown as Error).message, remedy: 'start weft by its own launcher, which brings the right Node' }
  }
}

async function start(inside: Inside, program: Program): Promise<{ pid: number; exited: Promise<Exit> }> {
  const exited = inside.heard('exited').then(({ code, signal }) => ({ code, signal }))
  exited.catch(() => {}) // who awaits it is told; when the start fails, nobody does
  const started = inside.heard('started')
  inside.order({ type: 'start', id: inside.id, program })
  const { pid } = await started
  return { pid, exited }
}

async function close(inside: Inside, ports: readonly MessagePort[]): Promise<void> {
  for (const port of ports) port.close()
  await inside.close()
}

/** The thread of this process that lives in namespaces, while there is one; by id, who waits for what is told of it. */
let shared: { readonly thread: Worker; readonly open: Map<number, Inside> } | undefined
let count = 0

/** One namespace in the shared thread: a thread of its own for each would cost more than a workload does. */
class Inside {
  readonly id = (count += 1)
  readonly #shared: NonNullable<typeof shared>
  readonly #waiting = new Map<News['type'], PromiseWithResolvers<never>>()
  readonly #runs = new Map<number, PromiseWithResolvers<Exit>>()
  #runCount = 0

  constructor() {
    this.#shared = shared ??= begin()
    this.#shared.open.set(this.id, this)
  }

  order(order: Order, transfer: readonly MessagePort[] = []): void {
    this.#shared.thread.postMessage(order, transfer)
  }

  /** The next news of that type. Rejects when a failure is told of instead, or the thread ends. */
  heard<Type extends News['type']>(type: Type): Promise<Extract<News, { type: Type }>> {
    const waiting = Promise.withResolvers<never>()
    this.#waiting.set(type, waiting)
    return waiting.promise
  }

  run(program: Program, timeoutMs: number): Promise<Exit> {
    const number = (this.#runCount += 1)
    const over = Promise.withResolvers<Exit>()
    this.#runs.set(number, over)
    this.order({ type: 'run', id: this.id, run: number, program, timeoutMs })
    return over.promise
  }

  told(news: News): void {
    if (news.type === 'ran') {
      this.#runs.get(news.run)?.resolve({ code: news.code, signal: news.signal })
      this.#runs.delete(news.run)
      return
    }
    if (news.type === 'refused') return this.failed(new CaptureRefused(explain(news.says, machine())))
    if (news.type === 'unstarted') return this.failed(Object.assign(new Error(news.says), { code: news.code }))
    this.#waiting.get(news.type)?.resolve(news as never)
    this.#waiting.delete(news.type)
  }

  failed(why: unknown): void {
    for (const { reject } of [...this.#waiting.values(), ...this.#runs.values()]) reject(why)
    this.#waiting.clear()
    this.#runs.clear()
  }

  async close(): Promise<void> {
    const { thread, open } = this.#shared
    if (!open.delete(this.id)) return
    if (open.size > 0) return this.order({ type: 'close', id: this.id })
    if (shared === this.#shared) shared = undefined
    await thread.terminate()
    this.failed(new Error('the namespace was closed'))
  }
}

function begin(): NonNullable<typeof shared> {
  const thread = new Worker(new URL('./namespace/inside.ts', import.meta.url))
  const open = new Map<number, Inside>()
  const failed = (why: unknown) => {
    if (shared?.thread === thread) shared = undefined
    for (const inside of open.values()) inside.failed(why)
  }
  thread.on('message', ({ id, ...news }: Told) => open.get(id)?.told(news as News))
  thread.on('error', failed)
  thread.on('exit', () => failed(new Error('the thread inside the namespaces ended')))
  return { thread, open }
}
