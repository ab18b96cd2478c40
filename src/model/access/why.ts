/** Why rules denied a call, by the condition that decided: of a rule that denies what held, of those that allow the nearest one and what of it did not hold. */

import type { Access, AccessCondition, AccessRule, TextMatch } from '../access-rule.ts'
import { isRuleOpen, momentOf, tellWindow } from './window.ts'
import { type Asked, type Caller, isCaller, isClaim, spellingsOf, testOf, textTest } from './condition.ts'

/** What is compared with each condition. asked: of opaque bytes nothing. */
type Call = { readonly caller: Caller; readonly asked: Asked; readonly isOpaque: boolean; readonly now: number; readonly denies?: true }
type Way = { readonly missing: number; readonly held: number; readonly first: AccessCondition | 'time' | undefined }

/**
 * Of a rule that allows and did not: the first condition that did not hold, of its nearest alternatives; of one that denied: what held.
 * Values of headers and claims are not repeated, neither those of the call nor those of the rule: either may be a secret.
 */
export function whyDenied(rule: AccessRule, of: Call): string {
  const call = { ...of, denies: true } as const
  const told = [...heldOf(rule.from, call), ...heldOf(rule.to, call)].map(each => tellCondition(each, call, true))
  return told.length === 0 ? 'it is for everybody and everything' : told.slice(0, 3).join(', ')
}

export type Nearest = { readonly rule: AccessRule; readonly says: string }

/** The rule of which the fewest conditions did not hold; of several the one of which most did, then the first. Undefined where there is none. */
export function nearestOf({ allow = [] }: Pick<Access, 'allow'>, call: Call): Nearest | undefined {
  let nearest: { readonly rule: AccessRule; readonly way: Way } | undefined
  for (const rule of allow) {
    const way = wayTo(rule, call)
    if (nearest === undefined || isNearer(way, nearest.way)) nearest = { rule, way }
  }
  if (nearest?.way.first === undefined) return undefined
  const { rule, way } = nearest
  if (way.first === 'time') return { rule, says: `it is ${momentOf(call.now)}, and not ${few((rule.when ?? []).map(tellWindow))}` }
  return { rule, says: tellCondition(way.first!, call, false) }
}

const isNearer = (one: Way, other: Way): boolean => (one.missing !== other.missing ? one.missing < other.missing : one.held > other.held)

function wayTo(rule: AccessRule, call: Call): Way {
  const [who, what] = [best(rule.from, call), best(rule.to, call)]
  const isShut = !isRuleOpen(rule, call.now)
  return {
    missing: who.missing + what.missing + Number(isShut),
    held: who.held + what.held,
    first: who.first ?? what.first ?? (isShut ? 'time' : undefined),
  }
}

/** Of alternatives the one that holds, or lacks least. */
function best(alternatives: readonly (readonly AccessCondition[])[], call: Call): Way {
  let found: Way | undefined
  for (const all of alternatives) {
    const failed = all.filter(each => !holds(each, call))
    const way = { missing: failed.length, held: all.length - failed.length, first: failed[0] }
    if (found === undefined || isNearer(way, found)) found = way
  }
  return found ?? { missing: 0, held: 0, first: undefined }
}

const heldOf = (alternatives: readonly (readonly AccessCondition[])[], call: Call): readonly AccessCondition[] =>
  alternatives.find(all => all.every(each => holds(each, call))) ?? []

const holds = (condition: AccessCondition, { caller, asked, denies }: Call): boolean =>
  isOfCaller(condition) ? isCaller(condition, caller) : testOf(condition, denies === true)(asked)

const isOfCaller = (condition: AccessCondition): boolean =>
  !isClaim(condition) && (condition.on === 'identity' || condition.on === 'address')

/** isHeld: it holds. */
function tellCondition(condition: AccessCondition, { caller, asked, isOpaque, denies }: Call, isHeld: boolean): string {
  const isIn = isHeld !== (condition.not === true)
  const has = isIn ? 'is' : 'is not'
  switch (condition.on) {
    case 'identity':
      if (caller.identity === undefined) return 'the caller proves no identity'
      return `identity ${caller.identity} ${has} ${listed(condition.any, isIn ? caller.identity : undefined)}`
    case 'address':
      return `address ${caller.address ?? 'unknown'} ${has} in ${few(condition.networks)}`
    case 'claim': {
      const name = condition.path.join('.')
      if (asked.claims === undefined) return `there is no verified token with claim ${name}`
      return `claim ${name} ${isIn ? 'has' : 'has none of'} the values that the rule names`
    }
    case 'header':
      if (isOpaque) return 'no HTTP is seen'
      if (
        spellingsOf(condition.name)
          .slice(0, denies === true ? undefined : 1)
          .every(name => asked.header(name) === undefined)
      )
        return `header ${condition.name} is absent`
      return condition.any.length === 0
        ? `header ${condition.name} is there`
        : `header ${condition.name} ${isIn ? 'has' : 'has none of'} the values that the rule names`
    default:
      if (isOpaque) return 'no HTTP is seen'
      return `${condition.on} ${clip(asked[condition.on])} ${has} ${listed(condition.any, isIn ? asked[condition.on] : undefined)}`
  }
}

/** A prefix of whole segments is written as two matches; it is told as one. text: only those that it fits; undefined: all. */
function listed(all: readonly TextMatch[], text: string | undefined): string {
  const exact = new Set(all.flatMap(({ type, value }) => (type === 'exact' ? [value] : [])))
  const fitting = text === undefined ? all : all.filter(each => textTest(each)(text))
  const told = (fitting.length > 0 ? fitting : all).map(({ type, value }) => {
    if (type === 'exact') return all.some(each => each.type === 'prefix' && each.value === `${value}/`) ? `under ${value}` : value
    if (type === 'prefix') return value.endsWith('/') && exact.has(value.slice(0, -1)) ? `under ${value.slice(0, -1)}` : `${value}*`
    return type === 'suffix' ? `*${value}` : `like ${value}`
  })
  return few([...new Set(told)])
}

const few = (told: readonly string[]): string => `${told.slice(0, 4).join(' or ')}${told.length > 4 ? ` or ${told.length - 4} more` : ''}`

const clip = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text)
