/** A request that the proxy itself makes to a backend, by the same ways, balancers and identities as those of its workload; and what is common to who takes the answer. */

import { Failure } from '#base/failure'
import type { Route } from '#model/route'
import type { View } from '#model/view'
import type { Fields, RequestHead, ResponseHead } from '#wire/http1'
import { answer } from './answer.ts'
import { Delivery } from './delivery.ts'
import type { Caller } from './ends.ts'
import { shareOf } from '../endpoints/share.ts'
import type { Entry, Party } from '../telemetry/entry.ts'
import type { RequestTrace } from '../telemetry/trace.ts'
import type { Pools } from '../upstreams/pool.ts'
import { Exchange } from './exchange.ts'

/** Why there is no reply, for people. */
export type NoReply = { readonly why: string }

/** backend: in the view. */
export type OwnCall = {
  readonly view: View
  readonly backend: string
  readonly timeoutMs: number
  readonly source: Party
  /** Of the request that it is made for, or of none. */
  readonly trace?: RequestTrace | undefined
}

const maxReplyBytes = 1_048_576

/** Host of what is asked of it, where nobody says otherwise. */
export const serviceOf = ({ view, backend }: OwnCall): string => view.backends[backend]?.service ?? backend

/** The taker learns of the end once, at the latest when the time is over. */
export function send<Reply>(
  call: OwnCall,
  protocol: 'http' | 'grpc',
  head: RequestHead,
  body: Uint8Array,
  pools: Pools,
  taker: Taker<Reply>,
): void {
  const { view, backend, timeoutMs, source } = call
  const entry: Entry = {
    listener: { name: `own/${backend}`, direction: 'outbound', host: '', port: 0, protocol, service: serviceOf(call) },
    view: () => view,
    peer: undefined,
    source,
  }
  const exchange = new Exchange(head, body.length, undefined, false, entry, taker, performance.now(), protocol === 'http')
  const route = routeTo(backend, timeoutMs)
  exchange.route = route
  exchange.trace = call.trace?.lent()
  const bug = (thrown: unknown): void => taker.settle({ why: thrown instanceof Error ? thrown.message : String(thrown) })
  try {
    const share = shareOf({ backend, weight: 1 }, view, route.origin, pools)
    if (body.length > 0) exchange.bodyData(body)
    exchange.bodyEnd([])
    new Delivery(exchange, route, share, pools, bug).begin()
  } catch (thrown) {
    if (thrown instanceof Failure) answer(exchange, thrown)
    else bug(thrown)
  }
}

const routes = new Map<string, Route>()

function routeTo(backend: string, requestMs: number): Route {
  const key = `${backend} ${requestMs}`
  let route = routes.get(key)
  if (route === undefined) {
    const name = `own/${backend}`
    const action = { type: 'forward', backends: [{ backend, weight: 1 }] } as const
    routes.set(key, (route = { name, origin: name, match: {}, filters: [], action, timeouts: { requestMs } }))
  }
  return route
}

/** Takes the answer, up to a mebibyte of it. */
export abstract class Taker<Reply> implements Caller {
  readonly #done: (reply: Reply | NoReply) => void
  #isOver = false
  #bytes = 0
  protected readonly parts: Uint8Array[] = []

  constructor(done: (reply: Reply | NoReply) => void) {
    this.#done = done
  }

  abstract respond(head: ResponseHead): void
  abstract end(trailers: Fields): void

  settle(outcome: Reply | NoReply): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#done(outcome)
  }
  informational(): void {}
  data(bytes: Uint8Array): void {
    this.#bytes += bytes.length
    if (this.#bytes > maxReplyBytes) return this.settle({ why: `its answer is longer than ${maxReplyBytes} bytes` })
    // What is handed over is of a buffer that others write to.
    this.parts.push(bytes.slice())
  }
  flush(): boolean {
    return true
  }
  readBody(): void {}
  abort(): void {
    this.settle({ why: 'it broke its answer off' })
  }
}
