/** Clocks on the wall: what one shows at a moment, and how far it is from UTC over the years. */

const dayMs = 86_400_000
const minuteMs = 60_000

/** day: 0 is Sunday; ms: since midnight, as the clock shows it. */
export type Wall = { readonly day: number; readonly ms: number }

const weekdays: Readonly<Record<string, number>> = { Sun: 0, Mon: 1, Tue: 2, Wed: 3, Thu: 4, Fri: 5, Sat: 6 }
const formats = new Map<string, Intl.DateTimeFormat>()

/** Throws RangeError where nobody knows such a zone: that is refused before. */
function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone)
  if (format === undefined) {
    const clock = { hourCycle: 'h23', weekday: 'short', hour: 'numeric', minute: 'numeric', second: 'numeric' } as const
    formats.set(timeZone, (format = new Intl.DateTimeFormat('en-US', { timeZone, ...clock })))
  }
  return format
}

/** So many answers are kept: the rules of a view ask for few moments, many times. */
const mostWalls = 256
const walls = new Map<string, Wall>()

/** now: ms since the epoch. */
export function wallAt(timeZone: string, now: number): Wall {
  const key = `${now} ${timeZone}`
  let wall = walls.get(key)
  if (wall === undefined) {
    if (walls.size >= mostWalls) walls.clear()
    walls.set(key, (wall = readWall(timeZone, now)))
  }
  return wall
}

function readWall(timeZone: string, now: number): Wall {
  const parts = Object.fromEntries(
    formatOf(timeZone)
      .formatToParts(now)
      .map(({ type, value }) => [type, value]),
  )
  const seconds = Number(parts['hour']) * 3600 + Number(parts['minute']) * 60 + Number(parts['second'])
  return { day: weekdays[parts['weekday'] ?? ''] ?? 0, ms: seconds * 1000 + modulo(now, 1000) }
}

/** ms by which the wall is ahead of UTC. */
export function offsetAt(timeZone: string, now: number): number {
  const { day, ms } = wallAt(timeZone, now)
  const days = modulo(day - (4 + Math.floor(now / dayMs)) + 3, 7) - 3
  return days * dayMs + ms - modulo(now, dayMs)
}

/** The moment, after one and up to another, at which the offset is first another than at the first; undefined: it never is. */
export function shiftBetween(timeZone: string, from: number, to: number): number | undefined {
  const offset = offsetAt(timeZone, from)
  if (offsetAt(timeZone, to) === offset) return undefined
  let [before, after] = [from, to]
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2)
    if (offsetAt(timeZone, middle) === offset) before = middle
    else after = middle
  }
  return after
}

/** For whoever has no list of time zones. */
export const firstKnown = Date.UTC(2025, 0, 1)
export const lastKnown = Date.UTC(2041, 0, 1)

/** By offset in whole minutes, when it holds, from `firstKnown` to `lastKnown`: ms since the epoch, the second no more in it. */
export function offsetsOf(timeZone: string): ReadonlyMap<number, readonly (readonly [from: number, to: number])[]> {
  let found = known.get(timeZone)
  if (found === undefined) known.set(timeZone, (found = findOffsets(timeZone)))
  return found
}
const known = new Map<string, ReturnType<typeof offsetsOf>>()

/** No zone is moved and moved back within a week. */
const stepMs = 7 * dayMs

function findOffsets(timeZone: string): ReturnType<typeof offsetsOf> {
  const found = new Map<number, [from: number, to: number][]>()
  let from = firstKnown
  const add = (to: number): void => {
    const minutes = Math.round(offsetAt(timeZone, from) / minuteMs)
    found.set(minutes, [...(found.get(minutes) ?? []), [from, to]])
    from = to
  }
  for (let at = firstKnown; at < lastKnown; at += stepMs) {
    const shift = shiftBetween(timeZone, at, Math.min(at + stepMs, lastKnown))
    if (shift !== undefined && shift < lastKnown) add(shift)
  }
  add(lastKnown)
  return found
}

const modulo = (value: number, by: number): number => ((value % by) + by) % by
