/**
 * Finds the first route that matches among very many, without trying all of them.
 *
 *   path ─▶ routes of exactly this path          ┐
 *        ─▶ routes below each of its parents     ├─▶ in each the first that holds ─▶ the foremost of these
 *        ─▶ routes that any path may take        ┘
 *
 * An index only leaves out what cannot match: whoever asks it tries what is left in full, so it finds what a scan finds. A long list whose
 * routes ask for values of one header (a tenant, a version) is split by that value once more. Costs: bench/routes.ts.
 */

import type { Match, PathMatch, Route } from '../route.ts'
import { hashOf, mixed, seed } from './hash.ts'

interface Asked {
  readonly path: string
  header(name: string): string | undefined
}
type Holds<Request> = (match: Match, request: Request) => boolean

/** Places of routes in the table, in order. values: those that ask for a value of `header`; `rest`: all others. */
type Candidates = {
  readonly rest: readonly number[]
  readonly header?: string
  readonly values?: ReadonlyMap<string, readonly number[]>
}

export type RouteIndex = {
  readonly routes: readonly Route[]
  /** By the whole path. */
  readonly exact: ReadonlyMap<string, Candidates>
  /** By the hash of a path up to a slash or its end, without that slash. */
  readonly below: ReadonlyMap<number, Candidates>
  readonly anywhere: Candidates
}

/** Below so many a list is tried as it is. */
const longList = 8

export function indexRoutes(routes: readonly Route[]): RouteIndex {
  const exact = new Map<string, number[]>()
  const below = new Map<number, number[]>()
  const anywhere: number[] = []
  for (const [at, { match }] of routes.entries()) {
    const { path } = match
    const parent = path === undefined ? undefined : parentOf(path)
    if (path?.type === 'exact') put(exact, path.value, at)
    else if (parent === undefined) anywhere.push(at)
    else put(below, hashOf(parent), at)
  }
  const split = <Key>(lists: ReadonlyMap<Key, readonly number[]>) =>
    new Map([...lists].map(([key, places]) => [key, candidatesOf(routes, places)]))
  return { routes, exact: split(exact), below: split(below), anywhere: candidatesOf(routes, anywhere) }
}

/** holds: whether all conditions of a route are met. */
export function firstOf<Request extends Asked>(index: RouteIndex, request: Request, holds: Holds<Request>): Route | undefined {
  const { path } = request
  let best = index.routes.length
  const same = index.exact.get(path)
  if (same !== undefined) best = among(index, same, request, holds, best)
  let hash = seed
  for (let at = 0; at <= path.length; at++) {
    const unit = at === path.length ? slash : path.charCodeAt(at)
    if (unit === slash) {
      const found = index.below.get(hash)
      if (found !== undefined) best = among(index, found, request, holds, best)
    }
    if (at < path.length) hash = mixed(hash, unit)
  }
  return index.routes[among(index, index.anywhere, request, holds, best)]
}

const slash = 47

/** The first place that holds and is before `best`; else `best`. */
function among<Request extends Asked>(
  { routes }: RouteIndex,
  candidates: Candidates,
  request: Request,
  holds: Holds<Request>,
  best: number,
): number {
  const { rest, header, values } = candidates
  let found = firstIn(routes, rest, request, holds, best)
  if (header === undefined || values === undefined) return found
  const value = request.header(header)
  const places = value === undefined ? undefined : values.get(value)
  if (places !== undefined) found = firstIn(routes, places, request, holds, found)
  return found
}

function firstIn<Request>(
  routes: readonly Route[],
  places: readonly number[],
  request: Request,
  holds: Holds<Request>,
  best: number,
): number {
  for (let nth = 0; nth < places.length; nth++) {
    const place = places[nth]!
    if (place >= best) return best
    if (holds(routes[place]!.match, request)) return place
  }
  return best
}

function put<Key>(lists: Map<Key, number[]>, key: Key, place: number): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [place])
  else list.push(place)
}

/** The path up to a slash (or its end) that everything has which this matches; undefined: there is none. */
function parentOf({ type, value }: PathMatch): string | undefined {
  // `/` has everything below it, `*` of OPTIONS too.
  if (type === 'prefix' && value === '/') return undefined
  if (type === 'prefix') return value.endsWith('/') ? value.slice(0, -1) : value
  const text = literalStart(value)
  const last = text.lastIndexOf('/')
  return last < 0 ? undefined : text.slice(0, last)
}

/** With what every text begins that an expression matches whole; empty where that cannot be told at a glance. */
function literalStart(pattern: string): string {
  if (pattern.includes('|')) return ''
  let text = ''
  for (let at = 0; at < pattern.length; at++) {
    const unit = pattern[at]!
    if (unit === '\\' && /[^\w\s]/.test(pattern[at + 1] ?? '')) text += pattern[++at]!
    else if (/[\w/~%@!&=:;,<>"'#-]/.test(unit)) text += unit
    // What may come several times or not at all does not count.
    else return /[?*+{]/.test(unit) ? text.slice(0, -1) : text
  }
  return text
}

function candidatesOf(routes: readonly Route[], places: readonly number[]): Candidates {
  if (places.length < longList) return { rest: places }
  const counts = new Map<string, number>()
  for (const place of places) for (const name of new Set(exactHeaders(routes[place]!.match))) counts.set(name, (counts.get(name) ?? 0) + 1)
  const [header, count = 0] = [...counts].reduce<readonly [string, number]>((most, each) => (each[1] > most[1] ? each : most), ['', 0])
  if (count < longList) return { rest: places }
  const rest: number[] = []
  const values = new Map<string, number[]>()
  for (const place of places) {
    const asked = routes[place]!.match.headers?.find(({ name, type }) => name === header && type === 'exact')
    if (asked === undefined) rest.push(place)
    else {
      const list = values.get(asked.value)
      if (list === undefined) values.set(asked.value, [place])
      else list.push(place)
    }
  }
  return { rest, header, values }
}

const exactHeaders = ({ headers = [] }: Match): readonly string[] => headers.flatMap(({ name, type }) => (type === 'exact' ? [name] : []))
