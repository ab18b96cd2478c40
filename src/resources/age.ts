/** How long ago, as kubectl shows it: two units at most, never more exact than anyone cares for. k8s.io/apimachinery/pkg/util/duration HumanDuration. */

export function ageOf(timestamp: string | undefined, now: number): string {
  const then = timestamp === undefined ? Number.NaN : Date.parse(timestamp)
  return Number.isNaN(then) ? '<unknown>' : tellDuration(now - then)
}

export function tellDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  // A clock that is a little ahead is no news.
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  const days = Math.floor(hours / 24)
  const years = Math.floor(days / 365)
  if (seconds < 120) return `${seconds}s`
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  if (days < 8) return pair(days, 'd', hours % 24, 'h')
  if (days < 365 * 2) return `${days}d`
  if (years < 8) return pair(years, 'y', days % 365, 'd')
  return `${years}y`
}

const pair = (large: number, unit: string, small: number, lesser: string): string =>
  small === 0 ? `${large}${unit}` : `${large}${unit}${small}${lesser}`
