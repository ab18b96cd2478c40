/** The workers of `weft proxy`, as one proxy: what they count is one sum, what is asked of it is asked of one of them. */

import { Fleet } from '#io/fleet'
import type { Listening } from '#io/net'
import { ownUse } from '#io/own-use'
import { jsonPage, metricsPage, type Page } from '#proxy/admin'
import type { Opened, Place } from '#proxy/from-file'
import { Registry } from '#proxy/registry'
import { Share } from '#proxy/tally'
import type { ProxyWorld } from '../world.ts'
import type { FromFileWorker, Order, ToFileWorker } from './messages.ts'
import type { Served } from './served.ts'

export type WorkersOptions = {
  readonly place: Place
  readonly drainMs: number
  readonly count: number
  readonly world: ProxyWorld
  /** What this process has counted itself so far. */
  readonly registry?: Registry
  readonly onListening: (listeners: readonly Opened[]) => void
  readonly onChange: (refused: string | undefined) => void
}

/** For a worker to answer; one that is busier than that counts with the next reading. */
const patienceMs = 500

export class Workers implements Served {
  readonly #options: WorkersOptions
  readonly #fleet: Fleet
  readonly #registry: Registry
  readonly #shares = new Map<number, Share>()
  readonly #asked = new Map<number, (page: Page | undefined) => void>()
  readonly #replaced
  #questions = 0
  #listeners: readonly Opened[] = []
  #adminPort: number | undefined
  #isDraining = false

  constructor(options: WorkersOptions) {
    const { world, place, drainMs, count } = options
    this.#options = options
    this.#registry = options.registry ?? new Registry()
    const order: Order = { kind: 'file', place, drainMs }
    this.#fleet = new Fleet({
      command: world.worker,
      env: world.env,
      count,
      order: () => order,
      onTold: (worker, about) => this.#heard(worker, about as FromFileWorker),
      onGone: (worker, isCrash) => {
        this.#shares.get(worker)?.withdraw()
        this.#shares.delete(worker)
        this.#replaced.sample([isCrash ? 'crashed' : 'left']).value++
      },
      log: world.log,
    })
    const workers = this.#registry.family('weft_workers', 'gauge', 'Worker processes by what they do', ['state'])
    this.#replaced = this.#registry.family('weft_workers_ended_total', 'counter', 'Worker processes that ended, by how', ['reason'])
    this.#registry.before(() => {
      for (const state of ['starting', 'serving', 'leaving'])
        workers.sample([state]).value = this.#fleet.workers.filter(worker => worker.state === state).length
    })
  }

  /** Rejects with why they cannot serve. sockets: those on which this process has accepted until now. */
  async start(
    sockets: readonly { readonly wanted: { name: string; host: string; port: number }; readonly listening: Listening }[] = [],
  ): Promise<void> {
    for (const { wanted, listening } of sockets) this.#fleet.adopt(wanted, listening)
    await this.#fleet.start()
  }

  get listeners(): readonly Opened[] {
    return this.#listeners
  }
  get adminPort(): number | undefined {
    return this.#adminPort
  }

  async page(path: string): Promise<Page> {
    const serving = this.#fleet.workers.filter(({ state }) => state === 'serving')
    switch (path) {
      case '/metrics':
        await Promise.all(this.#fleet.workers.map(({ worker }) => this.#ask(worker, id => ({ type: 'count', id }))))
        return metricsPage(this.#registry.text())
      case '/ready':
        if (this.#isDraining) return { status: 503, body: 'draining\n' }
        return serving.length > 0 ? { status: 200, body: 'ready\n' } : { status: 503, body: 'no worker serves\n' }
      case '/workers':
        return jsonPage({ owner: ownUse(), workers: this.#fleet.workers })
      default: {
        const one = serving[0]
        const page = one && (await this.#ask(one.worker, id => ({ type: 'page', id, path })))
        return page ?? { status: 503, body: 'no worker answers\n' }
      }
    }
  }

  #ask(worker: number, question: (id: number) => ToFileWorker): Promise<Page | undefined> {
    const id = (this.#questions += 1)
    return new Promise(resolve => {
      const settle = (page: Page | undefined) => {
        clearTimeout(timer)
        this.#asked.delete(id)
        resolve(page)
      }
      const timer = setTimeout(settle, patienceMs, undefined)
      this.#asked.set(id, settle)
      if (!this.#fleet.tellOne(worker, question(id))) settle(undefined)
    })
  }

  #heard(worker: number, about: FromFileWorker): void {
    switch (about.type) {
      case 'counts': {
        let share = this.#shares.get(worker)
        if (share === undefined) this.#shares.set(worker, (share = new Share(this.#registry)))
        return share.add(about.counts)
      }
      case 'answer':
        return this.#asked.get(about.id)?.(about.page)
      case 'listening':
        this.#adminPort = about.adminPort
        if (JSON.stringify(about.listeners) === JSON.stringify(this.#listeners)) return
        this.#listeners = about.listeners
        return this.#options.onListening(about.listeners)
      case 'changed':
        // All read the same file; one tells of it.
        if (worker === this.#fleet.workers.find(({ state }) => state === 'serving')?.worker) this.#options.onChange(about.refused)
    }
  }

  reread(): void {
    this.#fleet.tell({ type: 'reread' } satisfies ToFileWorker)
  }

  async restart(): Promise<string> {
    const before = this.#fleet.workers.length
    await this.#fleet.restart(this.#options.drainMs)
    return `restarted: ${before} left, ${this.#options.count} serve`
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true
    await this.#fleet.drain(deadlineMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#fleet[Symbol.asyncDispose]()
  }
}
