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
  const [keys, oldKeys] = [Object.keys(now), Object.keys(old)]
  let same = keys.length === oldKeys.length
  const kept = keys.map((key, at) => {
    const value = keep(old[key], (now as Readonly<Record<string, unknown>>)[key])
    // order of keys counts too: it is the order of the bytes
    if (key !== oldKeys[at] || value !== old[key]) same = false
    return value
  })
  return (same ? before : Object.fromEntries(keys.map((key, at) => [key, kept[at]]))) as T
}
