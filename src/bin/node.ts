/** `weft node`: many workloads of one machine behind one proxy process; each has its own identity, view, policy and namespace, as under `weft run`. */

import type { RunOptions } from '#cli/options'
import { Shelf } from '#proxy/link'
import { run } from './run.ts'
import type { RunWorld } from './world.ts'

/** So many become members at a time: each asks for a certificate, which costs its authority a signature. */
const atOnce = 8

/** Resolves when all have ended: with 0, or the exit code of the first that failed by itself. */
export async function node(workloads: readonly RunOptions[], world: RunWorld): Promise<number> {
  const shelf = new Shelf()
  const turns = new Turns(atOnce)
  const heard = new Set<(name: NodeJS.Signals) => void>()
  let isTold = false
  const forget = world.onSignal(name => {
    isTold ||= name === 'SIGTERM' || name === 'SIGINT'
    for (const each of heard) each(name)
  })
  const onSignal: RunWorld['onSignal'] = each => {
    heard.add(each)
    return () => void heard.delete(each)
  }
  let failed = 0
  const start = async (options: RunOptions): Promise<void> => {
    const say = (text: string) => world.say(`${options.name}: ${text}`)
    const over = await turns.take()
    const own: RunWorld = { ...world, say, onSignal, log: world.log.with({ workload: options.workload }) }
    const code = await run(options, own, { shelf, onMember: over }).finally(over)
    if (code === 0 || isTold) return
    failed ||= code
    say(`ended with exit code ${code}`)
  }
  await Promise.all(workloads.map(start))
  forget()
  return failed
}

class Turns {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  /** Resolves, in order, with what ends the turn; a second call of it does nothing. */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
