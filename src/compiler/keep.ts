/** Structural sharing: a new value made of the old one's objects wherever they say the same. */

/** Equal in content to `now`; every part of it that equals the part of `before` at the same place is that very object. */
export function keep<T>(before: unknown, now: T): T {
  if (before === now || before === null || now === null || typeof before !== 'object' || typeof now !== 'object') return now
  if (Array.isArray(now)) {
    if (!Array.isArray(before)) return now
    const next: unknown[] = now.map((each, at) => keep(before[at], each))
    return (next.length === before.length && next.every((each, at) => each === before[at]) ? before : next) as T
  }
  if (Array.isArray(before)) return now
  const old = before as Readonly<Record<string, unknown>>
  const next: Record<string, unknown> = {}
  let same = true
  for (const [key, value] of Object.entries(now)) {
    next[key] = keep(old[key], value)
    if (next[key] !== old[key] || !(key in old)) same = false
  }
  // order of keys counts: it is the order of the bytes
  return (same && Object.keys(old).join('\0') === Object.keys(next).join('\0') ? before : next) as T
}
