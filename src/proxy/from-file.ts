/** A proxy that serves by a file of resources, without a control plane: a good change is taken whole, a bad one is reported and changes nothing. */

import { systemClock } from '#base/clock'
import type { Log } from '#base/log'
import { dialTcp, type Listening, type Socket } from '#io/net'
import { watchFiles } from '#io/watch'
import type { Listener } from '#model/listener'
import type { Listen } from './callers/ports.ts'
import { Core } from './core.ts'
import { type Certificate, load, type Loaded, type Place } from './from-file/load.ts'

export type { Place } from './from-file/load.ts'

export type FileProxyOptions = Place & {
  readonly log: Log
  /** Opens listeners; absent: this process does. */
  readonly listen?: Listen
  /** After the first reading, and after each that changed where the proxy listens. */
  readonly onListening: (listening: readonly Opened[]) => void
  /** What came of a change: taken, or why not. */
  readonly onChange: (outcome: { readonly taken: true } | { readonly refused: string }) => void
}

export type Opened = Pick<Listener, 'name' | 'direction' | 'protocol'> & { readonly host: string; readonly port: number }

/** wanted: as the file has it, where port 0 is any free one. */
type Open = { readonly listening: Listening; readonly opened: Opened; readonly wanted: Pick<Listener, 'name' | 'host' | 'port'> }

/** Whoever sends a datagram must find the process that knows its session. */
const oneProcess = 'a socket of UDP is not shared by worker processes: start this proxy without --workers'

/** How often files are looked at. */
const everyMs = 500

export class FileProxy implements AsyncDisposable {
  readonly core: Core
  readonly #options: FileProxyOptions
  /** By name and address: one that stays the same keeps its socket, and with port 0 its port. */
  #open = new Map<string, Open>()
  #loaded: Loaded
  #watched = new Set<string>()
  #unwatch = (): void => {}
  #work: Promise<void> = Promise.resolve()

  private constructor(options: FileProxyOptions, loaded: Loaded) {
    this.#options = options
    this.#loaded = loaded
    this.core = new Core({
      self: () => this.#loaded.self,
      dialLocal: (port, timeoutMs) => dialled(port, timeoutMs),
      patienceMs: 5000,
      needsCertificate: loaded.material !== undefined,
      log: options.log,
      ...(options.listen === undefined ? {} : { listen: options.listen }),
    })
    this.core.meter.follow(() => this.#loaded.certificate, systemClock)
  }

  /** Throws BadInput or FileError when the file cannot be used, an Error when an address cannot be opened. */
  static async start(options: FileProxyOptions): Promise<FileProxy> {
    const seen = new Set<string>()
    const loaded = await load(options, path => seen.add(path))
    const proxy = new FileProxy(options, loaded)
    try {
      await proxy.#take(loaded)
    } catch (thrown) {
      await proxy[Symbol.asyncDispose]()
      throw thrown
    }
    proxy.#watch(seen)
    return proxy
  }

  get certificate(): Certificate | undefined {
    return this.#loaded.certificate
  }
  get adminPort(): number | undefined {
    return this.#loaded.adminPort
  }

  /** What this process accepts on. */
  get sockets(): readonly Open[] {
    return [...this.#open.values()]
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#unwatch()
    await this.core.drain(deadlineMs)
  }

  /** Others accept on the same sockets now; see `Core.retire`. The file is not looked at any more. */
  async retire(deadlineMs: number): Promise<void> {
    this.#unwatch()
    await this.core.retire(deadlineMs)
  }

  /** Reads everything again now. Resolves when it is taken or refused. */
  reread(): Promise<void> {
    this.#work = this.#work.then(async () => {
      const seen = new Set<string>()
      try {
        await this.#take(await load(this.#options, path => seen.add(path)))
        this.#options.onChange({ taken: true })
      } catch (thrown) {
        this.#options.onChange({ refused: thrown instanceof Error ? thrown.message : String(thrown) })
      }
      // A file that is bad now names perhaps not all that it will name: what was watched stays watched.
      this.#watch(new Set([...this.#watched, ...seen]))
    })
    return this.#work
  }

  #watch(paths: ReadonlySet<string>): void {
    if (this.#watched.size === paths.size && [...paths].every(path => this.#watched.has(path))) return
    this.#unwatch()
    this.#watched = new Set(paths)
    this.#unwatch = watchFiles([...paths], everyMs, () => void this.reread())
  }

  /** New addresses are opened first: when one cannot be, nothing has changed. */
  async #take(loaded: Loaded): Promise<void> {
    const wanted = new Map(Object.values(loaded.view.listeners).map(each => [`${each.name} ${each.host} ${each.port}`, each]))
    const fresh = new Map<string, Open>()
    try {
      for (const [key, { name, direction, protocol, host, port }] of wanted) {
        if (this.#open.has(key)) continue
        const isDatagrams = protocol === 'udp' && direction === 'outbound'
        if (isDatagrams && this.#options.listen !== undefined) throw new Error(`${name}: ${oneProcess}`)
        const listening = await (isDatagrams ? this.core.openDatagrams(name, host, port) : this.core.open(name, host, port))
        fresh.set(key, { listening, wanted: { name, host, port }, opened: { name, direction, protocol, host, port: listening.port } })
      }
    } catch (thrown) {
      for (const { listening } of fresh.values()) listening.stop()
      throw thrown
    }
    this.#loaded = loaded
    if (loaded.material !== undefined) this.core.present(loaded.material)
    this.core.swap(loaded.view)
    const kept = new Map([...this.#open].filter(([key]) => wanted.has(key)))
    const gone = [...this.#open].filter(([key]) => !wanted.has(key))
    this.#open = new Map([...kept, ...fresh])
    for (const [, { listening }] of gone) listening.stop()
    if (fresh.size > 0 || gone.length > 0) this.#options.onListening([...this.#open.values()].map(({ opened }) => opened))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch()
    await this.#work
    await this.core[Symbol.asyncDispose]()
  }
}

/** The workload beside this proxy. */
function dialled(port: number, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = dialTcp('127.0.0.1', port)
    const timer = setTimeout(() => socket.destroy(new Error(`127.0.0.1:${port} did not answer within ${timeoutMs} ms`)), timeoutMs)
    const settled = (error?: Error): void => {
      clearTimeout(timer)
      socket.off('error', settled)
      if (error === undefined) return resolve(socket)
      reject(error)
    }
    socket.once('error', settled)
    socket.once('connect', () => settled())
  })
}
