/** One request of HTTP that the proxy itself makes to a backend: by the same ways, balancers and identities as the requests of its workload. */

import { concat } from '#base/bytes'
import { Failure } from '#base/failure'
import type { Route } from '#model/route'
import type { View } from '#model/view'
import type { Fields, RequestHead, ResponseHead } from '#wire/http1'
import { field } from '#wire/http1'
import { answer, errorField } from './answer.ts'
import { Delivery } from './delivery.ts'
import type { Entry, Party } from '../telemetry/entry.ts'
import type { RequestTrace } from '../telemetry/trace.ts'
import { Exchange } from './exchange.ts'
import type { Caller } from './ends.ts'
import type { NoReply } from './grpc-call.ts'
import type { Pools } from '../upstreams/pool.ts'
import { shareOf } from '../endpoints/share.ts'

/** backend: in the view. fields: with Host. */
export type HttpCall = {
  readonly view: View
  readonly backend: string
  readonly method: string
  readonly target: string
  readonly fields: Fields
  readonly body: Uint8Array
  readonly timeoutMs: number
  readonly source: Party
  /** Of the request that it is made for, or of none. */
  readonly trace?: RequestTrace | undefined
}
export type HttpReply = { readonly status: number; readonly fields: Fields; readonly body: Uint8Array }

const maxReplyBytes = 1_048_576

/** done: once, at the latest when the time is over. */
export function callHttp(call: HttpCall, pools: Pools, done: (reply: HttpReply | NoReply) => void): void {
  const { view, backend, method, target, body, timeoutMs, source } = call
  const service = view.backends[backend]?.service ?? backend
  const entry: Entry = {
    listener: { name: `own/${backend}`, direction: 'outbound', host: '', port: 0, protocol: 'http', service },
    view: () => view,
    peer: undefined,
    source,
  }
  const caller = new Asker(done)
  const fields = [...call.fields, 'content-length', String(body.length)]
  const head: RequestHead = { method, target, minor: 1, fields }
  const exchange = new Exchange(head, body.length, undefined, false, entry, caller, performance.now())
  const route = routeTo(backend, timeoutMs)
  exchange.route = route
  exchange.trace = call.trace?.lent()
  const bug = (thrown: unknown): void => caller.settle({ why: thrown instanceof Error ? thrown.message : String(thrown) })
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

const routeTo = (backend: string, requestMs: number): Route => {
  const name = `own/${backend}`
  return {
    name,
    origin: name,
    match: {},
    filters: [],
    action: { type: 'forward', backends: [{ backend, weight: 1 }] },
    timeouts: { requestMs },
  }
}

/** Takes the answer. */
class Asker implements Caller {
  readonly #done: (reply: HttpReply | NoReply) => void
  #isOver = false
  #head: ResponseHead | undefined
  #bytes = 0
  readonly #parts: Uint8Array[] = []

  constructor(done: (reply: HttpReply | NoReply) => void) {
    this.#done = done
  }

  settle(outcome: HttpReply | NoReply): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#done(outcome)
  }

  respond(head: ResponseHead): void {
    // A proxy on the way says that it never came there, or may not.
    const said = field(head.fields, errorField)
    if (said !== undefined) return this.settle({ why: `${said}: ${field(head.fields, 'x-weft-error-detail') ?? ''}` })
    this.#head = head
  }
  informational(): void {}
  data(bytes: Uint8Array): void {
    this.#bytes += bytes.length
    if (this.#bytes > maxReplyBytes) return this.settle({ why: `its answer is longer than ${maxReplyBytes} bytes` })
    // What is handed over is of a buffer that others write to.
    this.#parts.push(bytes.slice())
  }
  end(): void {
    if (this.#head === undefined) return this.settle({ why: 'it answers nothing' })
    const { status, fields } = this.#head
    this.settle({ status, fields, body: concat(this.#parts) })
  }
  flush(): boolean {
    return true
  }
  readBody(): void {}
  abort(): void {
    this.settle({ why: 'it broke its answer off' })
  }
}
