/**
 * When a rule holds: between two moments, and at some hours of some days by the clock on the wall of a time zone.
 *
 * What a clock on the wall shows is taken as it is: where it is put forward, the hour that it skips is in no window, and where it is put back, the hour
 * that it shows twice is in a window twice.
 */

import type { Access, AccessRule, TimeWindow } from '../access-rule.ts'
import { shiftBetween, type Wall, wallAt } from './zone.ts'

const dayMs = 86_400_000
const minuteMs = 60_000

/** now: ms since the epoch. */
export function isOpen({ notBefore, notAfter, weekly }: TimeWindow, now: number): boolean {
  if (notBefore !== undefined && now < notBefore) return false
  if (notAfter !== undefined && now >= notAfter) return false
  return weekly === undefined || isOnWall(weekly, wallAt(weekly.timeZone, now))
}

/** When `isOpen` may say something else, later than now; Infinity: never. At that moment it is asked again. */
export function changesAfter({ notBefore, notAfter, weekly }: TimeWindow, now: number): number {
  if (notAfter !== undefined && now >= notAfter) return Infinity
  if (notBefore !== undefined && now < notBefore) return notBefore
  return Math.min(notAfter ?? Infinity, weekly === undefined ? Infinity : nextOnWall(weekly, now))
}

/** A rule without windows holds always. */
export const isRuleOpen = ({ when }: AccessRule, now: number): boolean => when === undefined || when.some(each => isOpen(each, now))

type Weekly = NonNullable<TimeWindow['weekly']>
/** A window that ends before it begins goes on into the next day. */
function isOnWall({ days, from, to }: Weekly, { day, ms }: Wall): boolean {
  const [begin, end] = [from * minuteMs, to * minuteMs]
  if (begin < end) return days.includes(day) && ms >= begin && ms < end
  return (days.includes(day) && ms >= begin) || (days.includes((day + 6) % 7) && ms < end)
}

/** By the clock as it goes now; where it is put forward or back before that, that moment. */
function nextOnWall({ from, to, timeZone }: Weekly, now: number): number {
  const { ms } = wallAt(timeZone, now)
  const until = [from, to, 24 * 60].map(minute => minute * minuteMs - ms).map(left => (left > 0 ? left : left + dayMs))
  const next = now + Math.min(...until)
  return shiftBetween(timeZone, now, next) ?? next
}

type Rules = Pick<Access, 'deny' | 'allow'>
type Now = { readonly from: number; readonly until: number; readonly access: Access }
const kept = new WeakMap<Access, Now>()

export const isTimed = (access: Access): boolean => rulesOf(access).some(({ when }) => when !== undefined)

/** The rules that hold at that moment, as if they had no times: the same object as long as nothing opens or closes. */
export function accessNow(access: Access, now: number): Access {
  const known = kept.get(access)
  if (known !== undefined && now >= known.from && now < known.until) return known.access
  if (!isTimed(access)) return access
  const open = openOf(access, now)
  const same = known !== undefined && isSame(known.access, open) ? known.access : open
  kept.set(access, { from: now, until: nextChange(access, now), access: same })
  return same
}

/** When rules open or close next; Infinity: never. */
export const nextChange = (access: Access, now: number): number =>
  Math.min(...rulesOf(access).flatMap(({ when = [] }) => when.map(each => changesAfter(each, now))), Infinity)

const rulesOf = ({ deny, allow = [], audit }: Access): readonly AccessRule[] => [
  ...deny,
  ...allow,
  ...(audit?.deny ?? []),
  ...(audit?.allow ?? []),
]

function openOf(access: Access, now: number): Access {
  const open = (rules: readonly AccessRule[]): readonly AccessRule[] => rules.filter(rule => isRuleOpen(rule, now)).map(bareOf)
  const some = ({ deny, allow }: Rules) => ({ deny: open(deny), ...(allow === undefined ? {} : { allow: open(allow) }) })
  return { ...some(access), ...(access.audit === undefined ? {} : { audit: some(access.audit) }) }
}

const bare = new WeakMap<AccessRule, AccessRule>()

function bareOf(rule: AccessRule): AccessRule {
  if (rule.when === undefined) return rule
  let found = bare.get(rule)
  if (found === undefined) bare.set(rule, (found = { name: rule.name, from: rule.from, to: rule.to }))
  return found
}

function isSame(one: Access, other: Access): boolean {
  const [a, b] = [rulesOf(one), rulesOf(other)]
  return a.length === b.length && a.every((rule, at) => rule === b[at])
}

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const clock = (minute: number): string => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`

export const momentOf = (ms: number): string => new Date(ms).toISOString().replace('.000', '')

/** For people: `Mon, Tue 09:00 to 17:00 Europe/Berlin, before 2026-12-01T00:00:00Z`. */
export function tellWindow({ notBefore, notAfter, weekly }: TimeWindow): string {
  return [
    ...(weekly === undefined
      ? []
      : [`${weekly.days.map(day => days[day]).join(', ')} ${clock(weekly.from)} to ${clock(weekly.to)} ${weekly.timeZone}`]),
    ...(notBefore === undefined ? [] : [`from ${momentOf(notBefore)}`]),
    ...(notAfter === undefined ? [] : [`before ${momentOf(notAfter)}`]),
  ].join(', ')
}
