/** Rules that hold at some times only: when one begins or ends, what is open is judged again. */

import { type Clock, longestTimerMs } from '#base/clock'
import { nextChange } from '#model/access'
import type { Access } from '#model/access-rule'
import type { View } from '#model/view'

export class Times {
  readonly #clock: Clock
  readonly #changed: () => void
  #cancel: (() => void) | undefined
  #view: View | undefined

  constructor(clock: Clock, changed: () => void) {
    this.#clock = clock
    this.#changed = changed
  }

  /** From now on the rules of this view count. */
  follow(view: View): void {
    this.#view = view
    this.#wait()
  }

  end(): void {
    this.#cancel?.()
    this.#cancel = this.#view = undefined
  }

  #wait(): void {
    this.#cancel?.()
    this.#cancel = undefined
    if (this.#view === undefined) return
    const now = this.#clock.now()
    const next = Math.min(...accessesOf(this.#view).map(each => nextChange(each, now)), Infinity)
    if (next === Infinity) return
    this.#cancel = this.#clock.after(Math.min(next - now, longestTimerMs), () => {
      this.#wait()
      // A timer may be early by a moment; then it comes again.
      if (this.#clock.now() >= next) this.#changed()
    })
  }
}

/** All that are kept at the listeners of the called side. */
function accessesOf({ listeners, routes }: View): readonly Access[] {
  const found = new Set<Access>()
  for (const { direction, access, routes: table } of Object.values(listeners)) {
    if (direction !== 'inbound') continue
    if (access !== undefined) found.add(access)
    for (const host of routes[table ?? '']?.hosts ?? [])
      for (const route of host.routes) if (route.access !== undefined) found.add(route.access)
  }
  return [...found]
}
