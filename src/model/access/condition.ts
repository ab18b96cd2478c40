/** One condition of a rule: whether a caller or a request fits it. */

import type { AccessCondition, TextMatch } from '../access-rule.ts'
import { textsAt } from '../claims.ts'
import { wholly } from '../expression.ts'
import type { RequestFacts } from '../match.ts'
import { isIn } from './network.ts'

/** identity: the SPIFFE id that it proved. address: from where it connected. */
export type Caller = { readonly identity: string | undefined; readonly address: string | undefined }

export type Asked = Pick<RequestFacts, 'method' | 'host' | 'header' | 'claims'> & { readonly path: string }
export type Test = (asked: Asked) => boolean

/** What opaque bytes have. */
export const nothing: Asked = { method: '', host: '', path: '', header: () => undefined }

/** A request whose path is spelled otherwise. */
export class Spelled implements Asked {
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

/** Of a condition of the request: true, for it is asked later. */
export function isCaller(condition: AccessCondition, { identity, address }: Caller): boolean {
  const isNot = condition.not === true
  if (condition.on === 'claim') return true
  if (condition.on === 'address') return condition.networks.some(network => isIn(address, network)) !== isNot
  if (condition.on !== 'identity') return false
  return (identity !== undefined && condition.any.some(each => textTest(each)(identity))) !== isNot
}

export const isClaim = ({ on }: AccessCondition): boolean => on === 'claim'

/** A condition of a request. Of opaque bytes nothing is known, so that there must be none. denies: it stands in a rule that denies. */
export function testOf(condition: AccessCondition, denies: boolean): Test {
  const isNot = condition.not === true
  if (condition.on === 'header') {
    // What would shut a caller out does so however the name is spelled and the value is cut; only to the letter does anything let it in.
    const shuts = denies !== isNot
    const fits = valueTest(condition, shuts)
    const names = shuts ? spellingsOf(condition.name) : [condition.name]
    return asked => {
      for (const name of names) {
        const joined = asked.header(name)
        if (joined !== undefined && fits(joined)) return !isNot
      }
      return isNot
    }
  }
  if (condition.on === 'claim') {
    const { path } = condition
    const fits = anyTest(condition.any)
    return ({ claims }) => (claims !== undefined && textsAt(claims, path).some(fits)) !== isNot
  }
  if (condition.on === 'address' || condition.on === 'identity') throw new Error(`${condition.on} is a condition of the caller`)
  const fits = anyTest(condition.any)
  if (condition.on === 'method') {
    // Some servers take `delete` for DELETE: what shuts a caller out does so in any case of letters.
    if (denies === isNot) return asked => fits(asked.method) !== isNot
    const shuts = anyTest(condition.any.map(upper))
    return asked => shuts(asked.method.toUpperCase()) !== isNot
  }
  if (condition.on === 'path') return asked => fits(asked.path) !== isNot
  return asked => fits(bareHost(asked.host)) !== isNot
}

function valueTest({ any, isWhole }: Extract<AccessCondition, { on: 'header' }>, shuts: boolean): (joined: string) => boolean {
  if (any.length === 0) return () => true
  const fits = anyTest(any)
  if (isWhole === true) return joined => fits(bare(joined))
  return joined => valuesOf(joined).some(fits) || (shuts && fits(bare(joined)))
}

/** So many dashes are tried each by itself. */
const mostDashes = 6

/** A name of a header, and what servers of CGI's kind take for the same: with `_` for `-`, for some or for all of them. In lower case, as it is first. */
export function spellingsOf(name: string): readonly string[] {
  const parts = name.split(/[-_]/)
  if (parts.length === 1) return [name]
  const all =
    parts.length - 1 > mostDashes
      ? [parts.join('-'), parts.join('_')]
      : parts.slice(1).reduce((made, part) => made.flatMap(each => [`${each}-${part}`, `${each}_${part}`]), [parts[0]!])
  return [...new Set([name, ...all])]
}

const upper = (match: TextMatch): TextMatch =>
  match.type === 'regex' ? { type: 'regex', value: `(?i:${match.value})` } : { type: match.type, value: match.value.toUpperCase() }

function anyTest(matches: readonly TextMatch[]): (text: string) => boolean {
  const exact = new Set(matches.flatMap(({ type, value }) => (type === 'exact' ? [value] : [])))
  const others = matches.filter(({ type }) => type !== 'exact').map(textTest)
  if (others.length === 0) return text => exact.has(text)
  return text => exact.has(text) || others.some(test => test(text))
}

/** regex: RE2 syntax that JavaScript has too, of the whole text. */
export function textTest({ type, value }: TextMatch): (text: string) => boolean {
  switch (type) {
    case 'exact':
      return text => text === value
    case 'prefix':
      return text => text.startsWith(value)
    case 'suffix':
      return text => text.endsWith(value)
    case 'regex':
      return wholly(value, true)
  }
}

/** In lower case, without port and without dots at its end. */
export const bareHost = (host: string): string => host.replace(/:\d*$/, '').replace(/\.+$/, '').toLowerCase()

/** Of a header, each by itself. */
export const valuesOf = (joined: string): readonly string[] => (joined.includes(',') ? joined.split(',').map(bare) : [bare(joined)])

/** Without the white space of RFC 9110 §5.6.3 around it; what else Unicode calls white belongs to the value. */
export const bare = (value: string): string => value.replace(/^[ \t]+|[ \t]+$/g, '')
