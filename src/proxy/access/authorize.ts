/**
 * Services that are asked whether requests and connections may go on, one after another; each must let them.
 *
 *   asked about it? ─▶ body, as far as it is shown ─▶ ask ─▶ yes: with its headers on · no: its answer · nothing: 503, or on · nonsense: 500
 */

import { Failure } from '#base/failure'
import type { Log } from '#base/log'
import { isAskedAbout } from '#model/authorize'
import type { Authorizer } from '#model/authorizer'
import type { HeaderChange, NameValue } from '#model/filter'
import type { View } from '#model/view'
import { checkAuthorization, type CheckReply } from '#xds/rpcs'
import { answerDenied } from '../requests/answer.ts'
import { questionOf, questionOfConnection, requestOf, type ShownBody } from './authorize/question.ts'
import { noChange, type Verdict, verdictOf, verdictOfHttp } from './authorize/verdict.ts'
import type { Entry, Party } from '../telemetry/entry.ts'
import type { Exchange } from '../requests/exchange.ts'
import { callGrpc } from '../requests/grpc-call.ts'
import type { NoReply } from '../requests/own-call.ts'
import { callHttp } from '../requests/http-call.ts'
import type { Meter } from '../telemetry/meter.ts'
import type { Pools } from '../upstreams/pool.ts'

/** A service that is silent is logged so often at most. */
const tellEveryMs = 5_000

export type AuthorizationsOptions = {
  readonly pools: Pools
  readonly meter: Meter
  readonly log: Log
  readonly self: () => Party
}

export class Authorizations {
  readonly #options: AuthorizationsOptions
  readonly #toldAt = new Map<string, number>()

  constructor(options: AuthorizationsOptions) {
    this.#options = options
  }

  /**
   * Calls `goOn` now or later, or answers the request, or gives why not to `refuse`, now or later. A caller that is gone meanwhile gets nothing of it.
   * names: among the authorizers of the listener.
   */
  ask(exchange: Exchange, names: readonly string[], view: View, goOn: () => void, refuse: (failure: Failure) => void): void {
    const { authorizers = [] } = view.listeners[exchange.entry.listener.name] ?? exchange.entry.listener
    const next = (at: number): void => {
      const name = names[at]
      if (name === undefined) return goOn()
      const authorizer = authorizers.find(each => each.name === name)
      if (authorizer === undefined) return refuse(new Failure('external-authorization-unavailable', `${name} is not known yet`))
      if (!isAskedAbout(authorizer, exchange)) return next(at + 1)
      exchange.wasHeldUp = true
      this.#shown(exchange, authorizer, refuse, body =>
        this.#question(exchange, authorizer, body, view, verdict => {
          if (!exchange.isGone) this.#carryOut(exchange, authorizer, verdict, () => next(at + 1), refuse)
        }),
      )
    }
    next(0)
  }

  /** Of a connection of which only bytes are known. Rejects with why it may not go on. */
  admit(entry: Entry, authorizer: Authorizer, view: View): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#check(
        questionOfConnection(entry),
        authorizer,
        view,
        () => false,
        verdict => {
          const failure = this.#outcome(authorizer, verdict)
          if (failure === undefined) resolve()
          else reject(failure)
        },
      )
    })
  }

  /** Waits for the body, as far as the service is shown it. */
  #shown(
    exchange: Exchange,
    { name, body }: Authorizer,
    refuse: (failure: Failure) => void,
    go: (body: ShownBody | undefined) => void,
  ): void {
    // Of what is no request any more after its head nothing is waited for.
    if (body === undefined || exchange.length === 0 || exchange.upgrade !== undefined || exchange.method === 'CONNECT') return go(undefined)
    if (!body.isCut && typeof exchange.length === 'number' && exchange.length > body.maxBytes) return refuse(tooLarge(name, body.maxBytes))
    exchange.gather(body.maxBytes, gathered => {
      if (exchange.isGone) return
      if (gathered instanceof Failure) return refuse(gathered)
      if (gathered.length > body.maxBytes && !body.isCut) return refuse(tooLarge(name, body.maxBytes))
      go({ bytes: gathered.subarray(0, body.maxBytes), isWhole: gathered.length <= body.maxBytes })
    })
  }

  #question(exchange: Exchange, authorizer: Authorizer, body: ShownBody | undefined, view: View, done: (verdict: Verdict) => void): void {
    const { ask, backend, timeoutMs } = authorizer
    if (ask.type === 'grpc')
      return this.#check(
        questionOf(exchange, ask.headers, body),
        authorizer,
        view,
        name => exchange.header(name) !== undefined,
        done,
        exchange,
      )
    if (backend === undefined) return done({ type: 'none', why: 'it does not exist' })
    // To send it on as it is would be to open a tunnel to the service.
    if (exchange.method === 'CONNECT') return done({ type: 'invalid', why: 'by HTTP nobody can be asked about CONNECT' })
    const { pools, self } = this.#options
    const request = {
      ...requestOf(exchange, ask, body),
      backend,
      view,
      timeoutMs,
      body: body?.bytes ?? new Uint8Array(0),
      source: self(),
      trace: exchange.trace,
    }
    callHttp(request, pools, reply => done('why' in reply ? { type: 'none', why: reply.why } : verdictOfHttp(reply, ask)))
  }

  #check(
    question: Parameters<typeof checkAuthorization.request.encode>[0],
    { backend, timeoutMs }: Authorizer,
    view: View,
    hasHeader: (name: string) => boolean,
    done: (verdict: Verdict) => void,
    exchange?: Exchange,
  ): void {
    if (backend === undefined) return done({ type: 'none', why: 'it does not exist' })
    const { pools, self } = this.#options
    const message = checkAuthorization.request.encode(question)
    const call = { view, backend, path: checkAuthorization.path, message, timeoutMs, source: self(), trace: exchange?.trace }
    callGrpc(call, pools, reply => {
      const said = 'why' in reply ? reply : decoded(reply)
      done('why' in said ? { type: 'none', why: said.why } : verdictOf(said, hasHeader))
    })
  }

  #carryOut(exchange: Exchange, authorizer: Authorizer, verdict: Verdict, goOn: () => void, refuse: (failure: Failure) => void): void {
    const failure = this.#outcome(authorizer, verdict)
    if (verdict.type === 'denied') return answerDenied(exchange, verdict, authorizer.name)
    if (failure !== undefined) return refuse(failure)
    if (verdict.type === 'allowed') apply(exchange, verdict)
    goOn()
  }

  /** Counts and tells it; undefined: it goes on. */
  #outcome({ name, failsOpen }: Authorizer, verdict: Verdict): Failure | undefined {
    const { meter } = this.#options
    switch (verdict.type) {
      case 'allowed':
        meter.authorized(name, 'allowed')
        return undefined
      case 'denied':
        meter.authorized(name, 'denied')
        return new Failure('external-authorization-denied', name)
      case 'invalid':
        meter.authorized(name, 'invalid')
        this.#tell(name, 'answers what cannot be carried out', verdict.why)
        return new Failure('external-authorization-invalid', name)
      case 'none':
        meter.authorized(name, failsOpen ? 'failed-open' : 'failed-closed')
        this.#tell(name, failsOpen ? 'gives no answer; what it is asked about goes on' : 'gives no answer; nothing goes on', verdict.why)
        return failsOpen ? undefined : new Failure('external-authorization-unavailable', name)
    }
  }

  #tell(name: string, what: string, why: string): void {
    const now = performance.now()
    const key = `${name} ${what}`
    if (now - (this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY) < tellEveryMs) return
    if (this.#toldAt.size > 1_000) this.#toldAt.clear()
    this.#toldAt.set(key, now)
    this.#options.log.warn(`the authorization service of ${name} ${what}`, { reason: why.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 300) })
  }
}

const tooLarge = (name: string, maxBytes: number): Failure =>
  new Failure('request-too-large', `${name} shows its service ${maxBytes} bytes at most`)

function decoded(bytes: Uint8Array): CheckReply | NoReply {
  try {
    return checkAuthorization.reply.decode(bytes)
  } catch (thrown) {
    return { why: `its reply cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}` }
  }
}

function apply(exchange: Exchange, { request, answer, query }: Extract<Verdict, { type: 'allowed' }>): void {
  if (request.set.length + request.add.length + request.remove.length > 0) change(exchange, request)
  if (answer.set.length + answer.add.length > 0) exchange.changeAnswer(answer)
  if (query !== undefined) exchange.sentSearch = searchOf(exchange.sentSearch ?? exchange.search, query)
}

/** Over what is to be changed already; who looks at the request from now on sees it so. */
function change(exchange: Exchange, { set, add, remove }: HeaderChange): void {
  const { set: before, add: more, remove: gone } = exchange.requestChange ?? noChange
  const replaced = new Set([...set.map(({ name }) => name), ...remove])
  const others = ({ name }: NameValue): boolean => !replaced.has(name)
  exchange.requestChange = {
    set: [...before.filter(others), ...set],
    add: [...more.filter(others), ...add],
    remove: [...gone, ...remove.filter(name => !gone.includes(name))],
  }
  const told = new Map(exchange.claimHeaders)
  for (const name of remove) told.set(name, undefined)
  const values = Map.groupBy(set, ({ name }) => name)
  for (const [name, fields] of values) told.set(name, fields.map(({ value }) => value).join(','))
  for (const { name, value } of add) {
    const held = told.has(name) ? told.get(name) : exchange.header(name)
    told.set(name, held === undefined ? value : `${held},${value}`)
  }
  exchange.claimHeaders = told
}

/** What is set is written as in a URL already. */
function searchOf(search: string, { set, remove }: NonNullable<Extract<Verdict, { type: 'allowed' }>['query']>): string {
  const plain = (text: string): string => new URLSearchParams(`x=${text}`).get('x') ?? ''
  const gone = new Set([...set.map(({ name }) => name), ...remove].map(plain))
  const kept = search.split('&').filter(pair => pair !== '' && ![...new URLSearchParams(pair).keys()].some(name => gone.has(name)))
  const added = set.filter(({ name }) => !remove.includes(name)).map(({ name, value }) => `${name}=${value}`)
  return [...kept, ...added].join('&')
}
