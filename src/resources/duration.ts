/** Durations as Gateway API writes them (GEP-2257): `1h`, `1m30s`, `500ms`, at most four parts of at most five digits. */

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 }

/** Milliseconds; NaN where the text is not a duration, which validation has refused before. */
export function durationMs(text: string): number {
  if (!/^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(text)) return Number.NaN
  let total = 0
  for (const [, digits, unit] of text.matchAll(/([0-9]{1,5})(ms|h|m|s)/g)) total += Number(digits) * unitMs[unit!]!
  return total
}
