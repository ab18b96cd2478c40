/** Numbers as people read them. */

const short = (value: number): string => {
  if (value === 0) return '0'
  if (value < 0.1) return '<0.1'
  if (value < 10) return value.toFixed(1).replace(/\.0$/, '')
  if (value < 1_000) return value.toFixed(0)
  if (value < 10_000) return `${(value / 1_000).toFixed(1)}k`
  if (value < 1_000_000) return `${(value / 1_000).toFixed(0)}k`
  return `${(value / 1_000_000).toFixed(1)}M`
}

export const rate = (perSecond: number): string => `${short(perSecond)}/s`

/** Never says 100 % of something that failed once. */
export const percent = (share: number): string => {
  const value = share * 100
  if (share >= 1) return '100 %'
  if (value >= 99.995) return '99.99 %'
  return `${value.toFixed(value >= 99 ? 2 : 1).replace(/\.?0+$/, '')} %`
}

export const latency = (ms: number | undefined): string => {
  if (ms === undefined) return '–'
  if (ms === 0) return '0 ms'
  if (ms < 1) return `${ms.toFixed(2)} ms`
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1_000) return `${ms.toFixed(0)} ms`
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 0)} s`
}

export const bytesRate = (bytesPerSecond: number): string => {
  const units = ['B', 'kB', 'MB', 'GB']
  let value = bytesPerSecond
  let unit = 0
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000
    unit++
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}/s`
}

/** `3 d 4 h`, `12 min`, `8 s`: two units at most. */
export const span = (ms: number): string => {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  const days = Math.floor(seconds / 86_400)
  const hours = Math.floor((seconds % 86_400) / 3_600)
  const minutes = Math.floor((seconds % 3_600) / 60)
  if (days >= 10) return `${days} d`
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`
  if (minutes > 0) return `${minutes} min`
  return `${seconds} s`
}

export const ago = (at: string | number, now: number = Date.now()): string => {
  const passed = now - new Date(at).getTime()
  if (Number.isNaN(passed)) return 'not known'
  return passed < 1_500 ? 'just now' : `${span(passed)} ago`
}

/** Milliseconds until then; negative when it has passed. */
export const left = (at: string, now: number = Date.now()): number => new Date(at).getTime() - now

export const clockTime = (at: number): string =>
  new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
