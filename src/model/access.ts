/**
 * Who may call what: the rules of a view compiled to a matcher. Pure, the same in the called proxy and in explanations.
 *
 *   deny ──▶ allow ──▶ default        each decided once for a caller as far as only identity and address matter,
 *                                     then for each request by what is left
 */

import { type Asked, type Caller, isCaller, isClaim, nothing, Spelled, type Test, testOf, textTest } from './access/condition.ts'
import { firstAt, type Index, indexOf } from './access/index.ts'
import { readPath } from './access/path.ts'
import { nearestOf, whyDenied } from './access/why.ts'
import { accessNow, isTimed } from './access/window.ts'
import type { Access, AccessCondition, AccessRule, TextMatch } from './access-rule.ts'
import type { RequestFacts } from './match.ts'

export { type Caller, spellingsOf } from './access/condition.ts'
export { networkOf } from './access/network.ts'
export { readPath } from './access/path.ts'
export { nextChange } from './access/window.ts'
export { lastKnown, offsetsOf } from './access/zone.ts'

/**
 * rule: of the policy that decided; undefined: by default, for denials because no Allow policy holds. wouldDeny: an audited policy would deny it: its rule, or
 * `no-allow` where none of those audited allows it. path: as it is to be sent on, where that is not how it came. badPath: it means nothing certain.
 */
export type Verdict = {
  readonly isAllowed: boolean
  readonly rule?: AccessRule
  readonly wouldDeny?: AccessRule | 'no-allow'
  readonly path?: string
  readonly badPath?: true
}

/** asks: what a request must be, all of one; tests: the same as something to call. Undefined: always. */
type Left = {
  readonly rule: AccessRule
  readonly asks: AccessRule['to'] | undefined
  readonly tests: readonly (readonly Test[])[] | undefined
  readonly yes: Verdict
  readonly no: Verdict
}
type Listed = { readonly lefts: readonly Left[]; readonly index: Index | undefined }
type Lefts = { readonly deny: Listed; readonly allow: Listed | undefined }

const allowed: Verdict = { isAllowed: true }
const noAllow: Verdict = { isAllowed: false }
const badPath: Verdict = { isAllowed: false, badPath: true }

/** What is left to decide of each request of one caller. */
export class CallerAccess {
  readonly #rules: Lefts
  readonly #audit: Lefts | undefined
  readonly #readsPath: boolean
  /** Only what is audited may look at it. */
  readonly #triesPath: boolean
  /** The same for every request. */
  readonly #always: Verdict | undefined

  /** now: ms since the epoch, for rules that have times. */
  constructor(all: Access, caller: Caller, now: number) {
    const access = accessNow(all, now)
    this.#rules = leftOf(access, caller)
    this.#audit = access.audit === undefined ? undefined : leftOf(access.audit, caller)
    const kindsOf = (lefts: Lefts | undefined): readonly string[] =>
      lefts === undefined
        ? []
        : [...lefts.deny.lefts, ...(lefts.allow?.lefts ?? [])].flatMap(({ asks }) => (asks ?? []).flat().map(({ on }) => on))
    const kinds = new Set(kindsOf(this.#rules))
    this.#readsPath = kinds.has('path')
    const tried = kindsOf(this.#audit)
    this.#triesPath = tried.includes('path')
    for (const kind of tried) kinds.add(kind)
    if (kinds.size === 0) this.#always = this.#decide(nothing)
  }

  /** What no request of this caller changes: an identity that may do nothing here. */
  get isRefused(): boolean {
    return this.#always?.isAllowed === false
  }

  /** Of one request. */
  judge(request: RequestFacts): Verdict {
    if (this.#always !== undefined) return this.#always
    if (!this.#readsPath) return this.#triesPath ? this.#try(request) : this.#decide(request)
    const read = readPath(request.path)
    if (read === undefined) return badPath
    const asked = read.path === request.path ? request : new Spelled(request, read.path)
    let verdict = this.#decide(asked)
    // Denied as either is denied.
    if (read.other !== undefined && verdict.isAllowed) {
      const other = this.#decide(new Spelled(request, read.other))
      if (!other.isAllowed || verdict.wouldDeny === undefined) verdict = other
    }
    return asked === request || !verdict.isAllowed ? verdict : { ...verdict, path: read.path }
  }

  /** What is audited changes nothing: the path goes on as it came, and one that means nothing certain is let in, and counted. */
  #try(request: RequestFacts): Verdict {
    const verdict = decide(this.#rules, request)
    if (!verdict.isAllowed) return verdict
    const read = readPath(request.path)
    const readings = read === undefined ? [] : [read.path, ...(read.other === undefined ? [] : [read.other])]
    const denied = readings.map(path => decide(this.#audit!, new Spelled(request, path))).find(({ isAllowed }) => !isAllowed)
    if (read !== undefined && denied === undefined) return verdict
    return { ...verdict, wouldDeny: denied?.rule ?? 'no-allow' }
  }

  /** Of a connection of which only bytes are known. */
  judgeConnection(): Verdict {
    return this.#always ?? this.#decide(nothing)
  }

  #decide(asked: Asked): Verdict {
    const verdict = decide(this.#rules, asked)
    if (this.#audit === undefined || !verdict.isAllowed) return verdict
    const other = decide(this.#audit, asked)
    return other.isAllowed ? verdict : { ...verdict, wouldDeny: other.rule ?? 'no-allow' }
  }
}

function decide({ deny, allow }: Lefts, asked: Asked): Verdict {
  const denies = firstOf(deny, asked)
  if (denies !== undefined) return denies.no
  if (allow === undefined) return allowed
  return firstOf(allow, asked)?.yes ?? noAllow
}

function firstOf({ lefts, index }: Listed, asked: Asked): Left | undefined {
  if (index === undefined) {
    for (const left of lefts) if (holds(left, asked)) return left
    return undefined
  }
  const at = firstAt(index, asked, place => {
    const { tests } = lefts[place.at]!
    return tests === undefined || isEach(tests[place.alternative]!, asked)
  })
  return at === undefined ? undefined : lefts[at]
}

function holds({ tests }: Left, asked: Asked): boolean {
  if (tests === undefined) return true
  for (const all of tests) if (isEach(all, asked)) return true
  return false
}

function isEach(all: readonly Test[], asked: Asked): boolean {
  for (const test of all) if (!test(asked)) return false
  return true
}

/** The rules that can still hold for a caller. */
const leftOf = ({ deny, allow }: Pick<Access, 'deny' | 'allow'>, caller: Caller): Lefts => {
  const narrow = (rules: readonly AccessRule[], denies: boolean): Listed => {
    const lefts = rules.flatMap((rule): readonly Left[] => {
      if (!canHold(rule, caller)) return []
      const asks = asksOf(rule, caller)
      return [{ rule, asks, tests: testsOf(rule, asks, denies), yes: { isAllowed: true, rule }, no: { isAllowed: false, rule } }]
    })
    return {
      lefts,
      index: indexOf(
        lefts.map(({ asks }) => asks),
        denies,
      ),
    }
  }
  return { deny: narrow(deny, true), allow: allow && narrow(allow, false) }
}

const canHold = ({ from }: AccessRule, caller: Caller): boolean =>
  from.length === 0 || from.some(all => all.every(each => isCaller(each, caller)))

/** Of rules that deny, and of others. */
const compiled = [new WeakMap<AccessRule, readonly (readonly Test[])[]>(), new WeakMap<AccessRule, readonly (readonly Test[])[]>()] as const

/** What its requests must be: all of one alternative of `to`, and the claims of one of those of `from` that fit the caller. */
function asksOf({ from, to }: AccessRule, caller: Caller): Left['asks'] {
  const anything = to.length === 0 || to.some(all => all.length === 0)
  if (!from.some(all => all.some(isClaim))) return anything ? undefined : to
  const claims = from.filter(all => all.every(each => isCaller(each, caller))).map(all => all.filter(isClaim))
  if (claims.some(all => all.length === 0)) return anything ? undefined : to
  return anything ? claims : claims.flatMap(some => to.map(all => [...some, ...all]))
}

function testsOf(rule: AccessRule, asks: Left['asks'], denies: boolean): Left['tests'] {
  const made = (all: readonly AccessCondition[]): readonly Test[] => all.map(each => testOf(each, denies))
  if (asks !== rule.to) return asks?.map(made)
  const known = compiled[denies ? 0 : 1]
  let tests = known.get(rule)
  if (tests === undefined) known.set(rule, (tests = asks.map(made)))
  return tests
}

/** policy: `NAMESPACE/NAME`. rule: its place in the policy, from 0. */
export function placeOf({ name }: AccessRule): { readonly policy: string; readonly rule: string } {
  const at = name.lastIndexOf('#')
  return { policy: name.slice(0, at), rule: name.slice(at + 1) }
}

/** Stands where an AccessPolicy would, for callers of other trust domains whom nobody lets in. */
export const strangersRule = 'weft-system/other-trust-domains'

/** matches: of identities; undefined: nobody. */
export const isNamed = (matches: readonly TextMatch[] | undefined, identity: string): boolean =>
  matches?.some(each => textTest(each)(identity)) ?? false

/** Why, in the words of logs and explanations. */
export function tellVerdict({ isAllowed, rule, badPath }: Verdict): string {
  if (badPath === true) return 'the path means nothing certain: an access rule could not be applied to it'
  if (rule === undefined) return isAllowed ? 'no AccessPolicy denies it' : 'no Allow policy matches'
  const place = placeOf(rule)
  if (place.policy.startsWith('Revocation/')) return `Revocation ${place.policy.slice(11)} takes back who it is`
  if (place.policy === strangersRule) return 'it is of another trust domain, and no AccessPolicy here names that'
  return `rule ${place.rule} of AccessPolicy ${place.policy} ${isAllowed ? 'allows' : 'denies'} it`
}

/**
 * Which condition decided that it is denied: `path /admin is under /admin` of a rule that denies; where no rule allows it, the first condition that did not hold of the nearest.
 * request: undefined for opaque bytes. Undefined where there is no condition to tell of. It looks at every rule: for what is told, not for every call.
 */
export function tellWhy(
  access: Access,
  caller: Caller,
  request: RequestFacts | undefined,
  { rule, badPath }: Verdict,
  now: number,
): string | undefined {
  if (badPath === true) return undefined
  const read = request === undefined ? undefined : readPath(request.path)
  const spelled = (path: string | undefined) =>
    ({
      caller,
      asked: request === undefined || path === undefined ? (request ?? nothing) : new Spelled(request, path),
      isOpaque: request === undefined,
      now,
    }) as const
  const call = spelled(read?.path)
  if (rule !== undefined)
    return whyDenied(rule, read?.other !== undefined && !heldBy(rule, caller, call.asked) ? spelled(read.other) : call)
  const nearest = nearestOf(access, call) ?? (read?.other === undefined ? undefined : nearestOf(access, spelled(read.other)))
  if (nearest === undefined) return undefined
  const place = placeOf(nearest.rule)
  return `${nearest.says}, of rule ${place.rule} of AccessPolicy ${place.policy}, the nearest`
}

const heldBy = (rule: AccessRule, caller: Caller, asked: Asked): boolean => {
  const asks = asksOf(rule, caller)
  return asks === undefined || asks.some(all => all.every(each => testOf(each, true)(asked)))
}

/**
 * For callers of whom something is kept anyway: decided once for each, and what is left is the same for all for whom the same rules can hold. Of rules with
 * times those that hold now. caller: read only when it is new. now: ms since the epoch, asked only where there are times.
 */
export function accessOf(access: Access, key: object, caller: () => Caller, now: () => number): CallerAccess {
  let known = byAccess.get(access)
  if (known === undefined) byAccess.set(access, (known = { byKey: new WeakMap(), byRules: new Map(), isTimed: isTimed(access) }))
  if (known.isTimed) return accessOf(accessNow(access, now()), key, caller, now)
  let found = known.byKey.get(key)
  if (found === undefined) known.byKey.set(key, (found = shared(access, caller(), known.byRules)))
  return found
}

/** So many sets of rules are kept for each view. */
const mostSets = 256

function shared(access: Access, caller: Caller, byRules: Map<string, CallerAccess>): CallerAccess {
  const all = [access, ...(access.audit === undefined ? [] : [access.audit])].flatMap(({ deny, allow = [] }) => [...deny, ...allow])
  const set = all.map(rule => setOf(rule, caller)).join('')
  let found = byRules.get(set)
  if (found === undefined) {
    if (byRules.size >= mostSets) byRules.clear()
    byRules.set(set, (found = new CallerAccess(access, caller, 0)))
  }
  return found
}

/** Which of the rule can hold: with claims in it each of its alternatives, for those differ in what is left of them. */
const setOf = (rule: AccessRule, caller: Caller): string =>
  rule.from.some(all => all.some(isClaim))
    ? `(${rule.from.map(all => (all.every(each => isCaller(each, caller)) ? '1' : '0')).join('')})`
    : canHold(rule, caller)
      ? '1'
      : '0'

type Known = { readonly byKey: WeakMap<object, CallerAccess>; readonly byRules: Map<string, CallerAccess>; readonly isTimed: boolean }
const byAccess = new WeakMap<Access, Known>()
