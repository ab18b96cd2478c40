/** How a data plane goes without losing a request: callers learn of it, what runs ends in its time, and what is left then is cut and counted. */

import type { Carriers } from '../callers/carriers.ts'
import type { Ports } from '../callers/ports.ts'

/** Within this time callers learn that a workload goes, when nothing is slow. */
const leadMs = 150
/** So long without a new request means that the callers have learnt it. */
const silenceMs = 100

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

export class Departure {
  readonly #carriers: Carriers
  readonly #ports: Ports

  constructor(carriers: Carriers, ports: Ports) {
    this.#carriers = carriers
    this.#ports = ports
  }

  /** As `Core.quiet` has it. */
  async quiet(haveHeard: boolean, deadlineMs: number): Promise<void> {
    const end = performance.now() + deadlineMs
    if (haveHeard) await pause(Math.min(deadlineMs, leadMs))
    while (!this.#carriers.isQuiet(haveHeard ? silenceMs : 0, performance.now()) && performance.now() < end) await pause(10)
  }

  /** As `Core.drain` has it. */
  async drain(deadlineMs: number): Promise<void> {
    this.#ports.stop()
    this.#carriers.drain()
    await this.#emptied(deadlineMs)
  }

  /** As `Core.retire` has it. */
  async retire(deadlineMs: number): Promise<void> {
    this.#ports.stop()
    this.#carriers.retire()
    await this.#emptied(deadlineMs)
  }

  async #emptied(deadlineMs: number): Promise<void> {
    const end = performance.now() + deadlineMs
    const isServing = (now: number) => this.#carriers.openConnections + this.#ports.callers + this.#carriers.busySessions(now) > 0
    for (let now = performance.now(); now < end && isServing(now); now = performance.now()) await pause(20)
    this.#carriers.cut('drain-deadline')
  }
}
