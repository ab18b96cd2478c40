/** The ports of a Gateway on this machine: opened and closed as the view says, tried again where another program has them. */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import type { Listening } from '#io/net'
import type { Listener } from '#model/listener'
import type { View } from '#model/view'
import type { Core } from './core.ts'

/** How long a port that another program has is waited for. */
const againMs = 2000

type Door = Pick<Listener, 'host' | 'port' | 'protocol'> & { listening?: Listening & { resume?(): boolean }; wrong?: string }

export type DoorsOptions = {
  readonly core: Pick<Core, 'open' | 'openDatagrams'>
  readonly clock: Clock
  readonly log: Log
  readonly say: (text: string) => void
}

export class Doors {
  readonly #options: DoorsOptions
  readonly #doors = new Map<string, Door>()
  /** Ports of datagrams that are not wanted any more: their sessions go on for a while, and nobody else can have the port so long. */
  readonly #leaving = new Map<string, Door>()
  #cancel: (() => void) | undefined
  #work: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: DoorsOptions) {
    this.#options = options
  }

  /** Ports that stay keep their sockets, and connections that are open go on. Resolves when all that can be opened is. */
  follow(view: View): Promise<void> {
    this.#work = this.#work.then(() => this.#become(Object.values(view.listeners).filter(each => each.direction === 'gateway')))
    return this.#work
  }

  /** All ports that are wanted are open. */
  get isOpen(): boolean {
    for (const { listening } of this.#doors.values()) if (listening === undefined) return false
    return true
  }

  get places(): readonly { readonly host: string; readonly port: number }[] {
    return [...this.#doors.values()].flatMap(({ listening }) =>
      listening === undefined ? [] : [{ host: listening.host, port: listening.port }],
    )
  }

  close(): void {
    this.#isClosed = true
    this.#cancel?.()
    for (const { listening } of this.#doors.values()) listening?.stop()
  }

  async #become(listeners: readonly Listener[]): Promise<void> {
    for (const [name, door] of this.#doors) {
      const wanted = listeners.find(each => each.name === name)
      if (wanted?.host === door.host && wanted.port === door.port) continue
      door.listening?.stop()
      this.#doors.delete(name)
      if (door.listening?.resume !== undefined) this.#leaving.set(placeOf(door), door)
      this.#options.log.info(`port ${door.port} is closed: the Gateway does not have it any more`)
    }
    for (const { name, host, port, protocol } of listeners) if (!this.#doors.has(name)) this.#doors.set(name, { host, port, protocol })
    await this.#open()
  }

  /** The socket that the port had a moment ago. */
  #again(door: Door): Door['listening'] {
    if (door.protocol !== 'udp') return undefined
    const before = this.#leaving.get(placeOf(door))
    this.#leaving.delete(placeOf(door))
    return before?.listening?.resume?.() === true ? before.listening : undefined
  }

  async #open(): Promise<void> {
    if (this.#isClosed) return
    const { core, clock, log, say } = this.#options
    for (const [name, door] of this.#doors) {
      if (door.listening !== undefined) continue
      try {
        door.listening =
          this.#again(door) ?? (await (door.protocol === 'udp' ? core.openDatagrams : core.open).call(core, name, door.host, door.port))
        delete door.wrong
        log.info(`port ${door.port} of ${door.host} is open`)
      } catch (thrown) {
        const wrong = thrown instanceof Error ? thrown.message : String(thrown)
        // Said once for each reason.
        if (door.wrong !== wrong) say(`weft: the Gateway is not whole: ${wrong}; it is tried again every ${againMs / 1000} s`)
        door.wrong = wrong
      }
    }
    this.#cancel?.()
    this.#cancel = this.isOpen
      ? undefined
      : clock.after(againMs, () => {
          this.#work = this.#work.then(() => this.#open())
        })
  }
}

const placeOf = ({ host, port }: Door): string => `${host} ${port}`
