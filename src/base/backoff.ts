/** How long to wait before trying again: exponential, capped, with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"). */

export type Backoff = { readonly baseMs: number; readonly maxMs: number }

/** attempt counts from 0; random is in [0, 1). The result is in [baseMs, maxMs]. */
export function backoffMs({ baseMs, maxMs }: Backoff, attempt: number, random: number): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30))
  return Math.round(baseMs + random * Math.max(0, ceiling - baseMs))
}
