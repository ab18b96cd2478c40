/** Many rules: found by what a request says, and not looked through. What a rule asks of the path, a header, a claim, the host or the method is its key. */

import type { AccessCondition, TextMatch } from '../access-rule.ts'
import { textsAt } from '../claims.ts'
import { type Asked, bare, bareHost, spellingsOf, valuesOf } from './condition.ts'

/** Fewer are looked through faster. */
const worthIt = 6

/** Whose place in the order is kept. at: of the rule; alternative: of its `to`. */
export type Place = { readonly at: number; readonly alternative: number }
type Places = ReadonlyMap<string, readonly Place[]>

/** By whole texts, and by what stands at an end of them: up to one of its slashes, or from one of its dots on. */
export type Index = {
  readonly paths: Texts | undefined
  readonly hosts: Texts | undefined
  readonly methods: Places | undefined
  /** Methods are in capitals there, and looked up so. */
  readonly isAnyCase: boolean
  readonly headers: readonly { readonly name: string; readonly values: Places }[]
  readonly claims: readonly { readonly path: readonly string[]; readonly values: Places }[]
  /** Those that have none of it, in order. */
  readonly others: readonly Place[]
}
type Texts = { readonly exact: Places; readonly ends: Places }

/** What tells requests apart best goes first. */
const order = ['path', 'header', 'claim', 'host', 'method'] as const
type Key = AccessCondition & { readonly on: (typeof order)[number] }

/** tos: the alternatives of each rule; undefined: it always holds. denies: so do the rules. Undefined where there are few. */
export function indexOf(tos: readonly (readonly (readonly AccessCondition[])[] | undefined)[], denies: boolean): Index | undefined {
  if (tos.length < worthIt) return undefined
  const tables = new Map<string, Map<string, Place[]>>()
  const claims = new Map<string, readonly string[]>()
  const others: Place[] = []
  const add = (table: string, key: string, place: Place): void => {
    let map = tables.get(table)
    if (map === undefined) tables.set(table, (map = new Map()))
    const list = map.get(key)
    if (list === undefined) map.set(key, [place])
    else if (list.at(-1) !== place) list.push(place)
  }
  for (const [at, to] of tos.entries()) {
    if (to === undefined) others.push({ at, alternative: 0 })
    for (const [alternative, all] of (to ?? []).entries()) {
      const place = { at, alternative }
      const key = keyOf(all)
      if (key === undefined) {
        others.push(place)
        continue
      }
      const name = key.on === 'header' ? `header ${key.name}` : key.on === 'claim' ? `claim ${JSON.stringify(key.path)}` : key.on
      if (key.on === 'claim') claims.set(name, key.path)
      for (const { type, value } of key.any)
        add(type === 'exact' ? name : `${name} ends`, denies && key.on === 'method' ? value.toUpperCase() : value, place)
    }
  }
  const texts = (name: string): Texts | undefined => {
    const [exact, ends] = [tables.get(name), tables.get(`${name} ends`)]
    return exact === undefined && ends === undefined ? undefined : { exact: exact ?? none, ends: ends ?? none }
  }
  const names = [...tables.keys()]
  return {
    paths: texts('path'),
    hosts: texts('host'),
    methods: tables.get('method'),
    isAnyCase: denies,
    headers: names.flatMap(table => {
      if (!table.startsWith('header ')) return []
      const [name, values] = [table.slice(7), tables.get(table)!]
      return (denies ? spellingsOf(name) : [name]).map(each => ({ name: each, values }))
    }),
    claims: [...claims].map(([name, path]) => ({ path, values: tables.get(name)! })),
    others,
  }
}

const none: Places = new Map()

/** The condition by which all of them are found; undefined: none of them can be looked up. */
function keyOf(all: readonly AccessCondition[]): Key | undefined {
  for (const kind of order) {
    const found = all.find(
      (each): each is Key => each.on === kind && each.not !== true && each.any.length > 0 && each.any.every(isKey(kind)),
    )
    if (found !== undefined) return found
  }
  return undefined
}

const isKey =
  (kind: Key['on']) =>
  ({ type, value }: TextMatch): boolean =>
    type === 'exact' ||
    (kind === 'path' && type === 'prefix' && value.endsWith('/')) ||
    (kind === 'host' && type === 'suffix' && value.startsWith('.'))

/** The first place, in the order of the rules, for which `holds`. */
export function firstAt(index: Index, asked: Asked, holds: (place: Place) => boolean): number | undefined {
  let first: number | undefined
  const look = (places: readonly Place[] | undefined): void => {
    if (places === undefined) return
    for (const place of places) {
      if (first !== undefined && place.at >= first) return
      if (holds(place)) first = place.at
    }
  }
  const { paths, hosts, methods, isAnyCase, headers, claims, others } = index
  if (paths !== undefined) {
    const { path } = asked
    look(paths.exact.get(path))
    if (paths.ends.size > 0)
      for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) look(paths.ends.get(path.slice(0, slash + 1)))
  }
  for (const { name, values } of headers) {
    const joined = asked.header(name)
    if (joined === undefined) continue
    for (const value of valuesOf(joined)) look(values.get(value))
    if (joined.includes(',')) look(values.get(bare(joined)))
  }
  if (asked.claims !== undefined)
    for (const { path, values } of claims) for (const text of textsAt(asked.claims, path)) look(values.get(text))
  if (hosts !== undefined) {
    const host = bareHost(asked.host)
    look(hosts.exact.get(host))
    if (hosts.ends.size > 0)
      for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) look(hosts.ends.get(host.slice(dot)))
  }
  if (methods !== undefined) look(methods.get(isAnyCase ? asked.method.toUpperCase() : asked.method))
  look(others)
  return first
}
