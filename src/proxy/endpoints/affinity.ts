/** By what a request is recognised, so that it goes where others like it went: a hash of parts of it, or the session that its client holds. */

import type { Endpoint } from '#model/backend'
import { combined, hashOf } from '#model/balance'
import { pickWeighted } from '#model/match'
import type { Action, HashOn, Session, WeightedBackend } from '#model/route'
import type { View } from '#model/view'
import type { Fields, ResponseHead } from '#wire/http1'
import { addressOf } from './balancers.ts'
import type { Entry } from '../telemetry/entry.ts'
import type { Exchange } from '../requests/exchange.ts'
import type { Pools } from '../upstreams/pool.ts'
import { cookieIn, readSession, sessionValue, setCookie } from './cookies.ts'

export type Forward = Action & { readonly type: 'forward' }

/** What one request brings. */
export class Affinity {
  /** For backends that choose by hash; undefined: it has nothing that it could be recognised by. */
  readonly key: number | undefined
  /** Where its client was before, if that may serve. */
  wanted: Endpoint | undefined
  readonly #session: Session | undefined
  /** What its client named, whether it may serve or not. */
  readonly #address: string | undefined
  /** Cookies that it lacks and is given. */
  readonly #given: readonly string[]

  constructor(exchange: Exchange, { hash = [], session }: Forward) {
    const given: string[] = []
    let key: number | undefined
    for (const each of hash) {
      const value = valueOf(exchange, each, given)
      if (value !== undefined) key = combined(key, hashOf(value))
    }
    this.key = key
    this.#given = given
    this.#session = session
    const said =
      session === undefined
        ? undefined
        : session.type === 'header'
          ? exchange.header(session.name)
          : cookieIn(exchange.head.fields, session.name)
    this.#address = said === undefined ? undefined : readSession(said, Date.now())
  }

  /** The backend that holds the endpoint of the session; else one by weight, for requests that are recognised always the same. */
  backendOf(backends: readonly WeightedBackend[], view: View, { balancers }: Pools): WeightedBackend | undefined {
    if (this.#address !== undefined)
      for (const each of backends) {
        const [backend, set] =
          each.weight > 0 && each.backend !== undefined ? [view.backends[each.backend], view.endpoints[each.backend]] : []
        if (backend === undefined || set === undefined) continue
        this.wanted = balancers.servingAt(backend, set, this.#address)
        if (this.wanted !== undefined) return each
      }
    return pickWeighted(backends, drawBy(this.key))
  }

  /** The head of an answer with what its client is to bring along the next time. */
  answeredBy(endpoint: Endpoint, head: ResponseHead): ResponseHead {
    const added = [...this.#given.flatMap(cookie => ['Set-Cookie', cookie]), ...this.#sessionFields(endpoint)]
    return added.length === 0 ? head : { ...head, fields: [...head.fields, ...added] }
  }

  #sessionFields(endpoint: Endpoint): Fields {
    const session = this.#session
    const address = addressOf(endpoint)
    if (session === undefined || address === this.#address) return []
    if (session.type === 'header') return [session.name, sessionValue(address, 0)]
    const { name, path, ttlMs } = session
    return ['Set-Cookie', setCookie(name, sessionValue(address, ttlMs === 0 ? 0 : Date.now() + ttlMs), ttlMs, path)]
  }
}

/** given: takes the cookie that is made where the request has none. */
function valueOf(exchange: Exchange, hash: HashOn, given: string[]): string | undefined {
  switch (hash.type) {
    case 'header':
      return exchange.header(hash.name)
    case 'query':
      return new URLSearchParams(exchange.search).get(hash.name) ?? undefined
    case 'cookie': {
      const brought = cookieIn(exchange.head.fields, hash.name)
      if (brought !== undefined || hash.ttlMs === undefined) return brought
      const made = `${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`
      given.push(setCookie(hash.name, made, hash.ttlMs, hash.path ?? ''))
      return made
    }
    case 'source-ip':
      return callerOf(exchange.entry)
  }
}

/** Workloads behind proxies of their own all have the same address there: their name counts too. */
const callerOf = ({ source, ends }: Entry): string => `${source.workload}.${source.namespace} ${ends?.()?.source.host ?? ''}`

/** In [0, 1), by chance or, for what is recognised, always the same: the backend of a split. */
const drawBy = (key: number | undefined): number => (key === undefined ? Math.random() : combined(0x51ed270b, key) / 4_294_967_296)

/** For opaque bytes, where the listener asks for it. */
export const keyOf = (entry: Entry): number | undefined => (entry.listener.hash === undefined ? undefined : hashOf(callerOf(entry)))
export const drawFor = (entry: Entry): number => drawBy(keyOf(entry))
