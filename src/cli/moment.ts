/** Times and durations as people read and type them. */

import { durationMs } from '#resources/duration'

/** Milliseconds from `30s`, `1m30s`, `500ms` or a bare number of seconds; undefined when it is none. */
export function readDuration(text: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1000)
  const ms = durationMs(text)
  return Number.isNaN(ms) ? undefined : ms
}

/** `45s`, `12m`, `3h20m`, `5d3h`: two parts at most. */
export function tellSpan(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 120) return seconds % 60 > 0 && minutes < 10 ? `${minutes}m${seconds % 60}s` : `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 > 0 ? `${hours}h${minutes % 60}m` : `${hours}h`
  const days = Math.floor(hours / 24)
  return hours % 24 > 0 && days < 8 ? `${days}d${hours % 24}h` : `${days}d`
}

/** `3h ago`; `unknown` for a time that is none. */
export function tellAgo(at: string, now: number): string {
  const past = now - Date.parse(at)
  return Number.isNaN(past) ? 'unknown' : `${tellSpan(past)} ago`
}

/** For latencies: `0.8 ms`, `12 ms`, `1.20 s`. */
export function tellLatency(ms: number | undefined): string {
  if (ms === undefined) return '-'
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}

/** How long until an RFC 3339 time, in whole days when more than two; negative when it has passed. */
export function tellLeft(notAfter: string, now: number): string {
  const left = Date.parse(notAfter) - now
  if (Number.isNaN(left)) return 'unknown'
  return left < 0 ? `expired ${tellSpan(-left)} ago` : `${tellSpan(left)} left`
}
