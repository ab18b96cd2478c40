/**
 * Who may call what: the rules of a view compiled to a matcher. Pure, the same in the called proxy and in explanations.
 *
 *   deny ──▶ allow ──▶ default        each decided once for a caller as far as only identity and address matter,
 *                                     then for each request by what is left
 */

import { type ByPath, firstAt, indexOf } from './access/index.ts'
import { isIn } from './access/network.ts'
import { readPath } from './access/path.ts'
import { textsAt } from './claims.ts'
import type { RequestFacts } from './match.ts'
import type { Access, AccessCondition, AccessRule, TextMatch } from './view.ts'

export { networkOf } from './access/network.ts'
export { readPath } from './access/path.ts'

/** identity: the SPIFFE id that it proved. address: from where it connected. */
export type Caller = { readonly identity: string | undefined; readonly address: string | undefined }

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

type Asked = Pick<RequestFacts, 'method' | 'host' | 'header' | 'claims'> & { readonly path: string }
type Test = (asked: Asked) => boolean
/** asks: what a request must be, all of one; tests: the same as something to call. Undefined: always. */
type Left = {
  readonly rule: AccessRule
  readonly asks: AccessRule['to'] | undefined
  readonly tests: readonly (readonly Test[])[] | undefined
  readonly yes: Verdict
  readonly no: Verdict
}
type Listed = { readonly lefts: readonly Left[]; readonly byPath: ByPath | undefined }
type Lefts = { readonly deny: Listed; readonly allow: Listed | undefined }

const allowed: Verdict = { isAllowed: true }
const noAllow: Verdict = { isAllowed: false }
const badPath: Verdict = { isAllowed: false, badPath: true }
/** What opaque bytes have. */
const nothing: Asked = { method: '', host: '', path: '', header: () => undefined }

/** What is left to decide of each request of one caller. */
export class CallerAccess {
  readonly #rules: Lefts
  readonly #audit: Lefts | undefined
  readonly #readsPath: boolean
  /** The same for every request. */
  readonly #always: Verdict | undefined

  constructor(access: Access, caller: Caller) {
    this.#rules = leftOf(access, caller)
    this.#audit = access.audit === undefined ? undefined : leftOf(access.audit, caller)
    const kept = [this.#rules, this.#audit].flatMap(each => (each === undefined ? [] : [...each.deny.lefts, ...(each.allow?.lefts ?? [])]))
    const kinds = new Set(kept.flatMap(({ asks }) => (asks === undefined ? [] : asks.flat().map(({ on }) => on))))
    this.#readsPath = kinds.has('path')
    if (kinds.size === 0) this.#always = this.#decide(nothing)
  }

  /** What no request of this caller changes: an identity that may do nothing here. */
  get isRefused(): boolean {
    return this.#always?.isAllowed === false
  }

  /** Of one request. */
  judge(request: RequestFacts): Verdict {
    if (this.#always !== undefined) return this.#always
    if (!this.#readsPath) return this.#decide(request)
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

/** A request whose path is spelled otherwise. */
class Spelled implements Asked {
  readonly #request: RequestFacts
  readonly path: string
  constructor(request: RequestFacts, path: string) {
    this.#request = request
    this.path = path
  }
  get method(): string {
    return this.#request.method
  }
  get host(): string {
    return this.#request.host
  }
  get claims(): RequestFacts['claims'] {
    return this.#request.claims
  }
  header(name: string): string | undefined {
    return this.#request.header(name)
  }
}

function decide({ deny, allow }: Lefts, asked: Asked): Verdict {
  const denies = firstOf(deny, asked)
  if (denies !== undefined) return denies.no
  if (allow === undefined) return allowed
  return firstOf(allow, asked)?.yes ?? noAllow
}

function firstOf({ lefts, byPath }: Listed, asked: Asked): Left | undefined {
  if (byPath === undefined) {
    for (const left of lefts) if (holds(left, asked)) return left
    return undefined
  }
  const at = firstAt(byPath, asked.path, place => {
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
  const narrow = (rules: readonly AccessRule[]): Listed => {
    const lefts = rules.flatMap((rule): readonly Left[] => {
      if (!canHold(rule, caller)) return []
      const asks = asksOf(rule, caller)
      return [{ rule, asks, tests: testsOf(rule, asks), yes: { isAllowed: true, rule }, no: { isAllowed: false, rule } }]
    })
    return { lefts, byPath: indexOf(lefts.map(({ asks }) => asks)) }
  }
  return { deny: narrow(deny), allow: allow && narrow(allow) }
}

const canHold = ({ from }: AccessRule, caller: Caller): boolean =>
  from.length === 0 || from.some(all => all.every(each => isCaller(each, caller)))

function isCaller(condition: AccessCondition, { identity, address }: Caller): boolean {
  const isNot = condition.not === true
  if (condition.on === 'claim') return true // of the request
  if (condition.on === 'address') return condition.networks.some(network => isIn(address, network)) !== isNot
  if (condition.on !== 'identity') return false
  return (identity !== undefined && condition.any.some(each => textTest(each)(identity))) !== isNot
}

const compiled = new WeakMap<AccessRule, readonly (readonly Test[])[]>()

/** What its requests must be: all of one alternative of `to`, and the claims of one of those of `from` that fit the caller. */
function asksOf({ from, to }: AccessRule, caller: Caller): Left['asks'] {
  const anything = to.length === 0 || to.some(all => all.length === 0)
  if (!from.some(all => all.some(isClaim))) return anything ? undefined : to
  const claims = from.filter(all => all.every(each => isCaller(each, caller))).map(all => all.filter(isClaim))
  if (claims.some(all => all.length === 0)) return anything ? undefined : to
  return anything ? claims : claims.flatMap(some => to.map(all => [...some, ...all]))
}

const isClaim = ({ on }: AccessCondition): boolean => on === 'claim'

function testsOf(rule: AccessRule, asks: Left['asks']): Left['tests'] {
  if (asks !== rule.to) return asks?.map(all => all.map(testOf))
  let tests = compiled.get(rule)
  if (tests === undefined) compiled.set(rule, (tests = asks.map(all => all.map(testOf))))
  return tests
}

/** A condition of a request. Of opaque bytes nothing is known, so that there must be none. */
function testOf(condition: AccessCondition): Test {
  const isNot = condition.not === true
  if (condition.on === 'header') {
    const { name } = condition
    const fits = anyTest(condition.any)
    return asked => {
      const joined = asked.header(name)
      if (joined === undefined) return isNot
      if (condition.any.length === 0) return !isNot
      return (joined.includes(',') ? joined.split(',').some(value => fits(value.trim())) : fits(joined)) !== isNot
    }
  }
  if (condition.on === 'claim') {
    const { path } = condition
    const fits = anyTest(condition.any)
    return ({ claims }) => (claims !== undefined && textsAt(claims, path).some(fits)) !== isNot
  }
  if (condition.on === 'address' || condition.on === 'identity') throw new Error(`${condition.on} is a condition of the caller`)
  const fits = anyTest(condition.any)
  if (condition.on === 'method') return asked => fits(asked.method) !== isNot
  if (condition.on === 'path') return asked => fits(asked.path) !== isNot
  return asked => fits(bareHost(asked.host)) !== isNot
}

function anyTest(matches: readonly TextMatch[]): (text: string) => boolean {
  const exact = new Set(matches.flatMap(({ type, value }) => (type === 'exact' ? [value] : [])))
  const others = matches.filter(({ type }) => type !== 'exact').map(textTest)
  if (others.length === 0) return text => exact.has(text)
  return text => exact.has(text) || others.some(test => test(text))
}

/** regex: RE2 syntax that JavaScript has too, of the whole text. */
function textTest({ type, value }: TextMatch): (text: string) => boolean {
  switch (type) {
    case 'exact':
      return text => text === value
    case 'prefix':
      return text => text.startsWith(value)
    case 'suffix':
      return text => text.endsWith(value)
    case 'regex': {
      const pattern = new RegExp(`^(?:${value})$`, 'su')
      return text => pattern.test(text)
    }
  }
}

/** In lower case, without port and without the dot at its end. */
const bareHost = (host: string): string => host.replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase()

/** policy: `NAMESPACE/NAME`. rule: its place in the policy, from 0. */
export function placeOf({ name }: AccessRule): { readonly policy: string; readonly rule: string } {
  const at = name.lastIndexOf('#')
  return { policy: name.slice(0, at), rule: name.slice(at + 1) }
}

/** Why, in the words of logs and explanations. */
export function tellVerdict({ isAllowed, rule, badPath }: Verdict): string {
  if (badPath === true) return 'the path means nothing certain: an access rule could not be applied to it'
  if (rule === undefined) return isAllowed ? 'no AccessPolicy denies it' : 'no Allow policy matches'
  const place = placeOf(rule)
  return `rule ${place.rule} of AccessPolicy ${place.policy} ${isAllowed ? 'allows' : 'denies'} it`
}

/** For callers of whom something is kept anyway: decided once for each, and what is left is the same for all for whom the same rules can hold. caller: read only when it is new. */
export function accessOf(access: Access, key: object, caller: () => Caller): CallerAccess {
  let known = byAccess.get(access)
  if (known === undefined) byAccess.set(access, (known = { byKey: new WeakMap(), byRules: new Map() }))
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
    byRules.set(set, (found = new CallerAccess(access, caller)))
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

type Known = { readonly byKey: WeakMap<object, CallerAccess>; readonly byRules: Map<string, CallerAccess> }
const byAccess = new WeakMap<Access, Known>()
